//! Bytes of a file as UTF-8, a window at a time. What is no text in the file's encoding becomes the byte 0xFF, which is never part
//! of UTF-8: the reader finds it where it checks the text anyway.
//! Must not touch: records and cells.

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use std::io::{self, Read};

/// Read at once.
const CHUNK: usize = 128 * 1024;
/// Stands for what can't be decoded.
const NO_TEXT: u8 = 0xFF;

pub(super) struct Source<R> {
    inner: R,
    /// `None`: the bytes are UTF-8 already.
    decoder: Option<Decoder>,
    raw: Vec<u8>,
    /// The window is `start..end` of it.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the file and bytes of text so far.
    read: u64,
    decoded: u64,
    done: bool,
}

impl<R: Read> Source<R> {
    /// `inner` stands after the byte order mark, `skipped` bytes into the file.
    pub(super) fn new(inner: R, encoding: &'static Encoding, skipped: u64) -> Self {
        let decoder = (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling());
        Self {
            inner,
            decoder,
            raw: Vec::new(),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            read: skipped,
            decoded: 0,
            done: false,
        }
    }

    /// What is in view.
    pub(super) fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Nothing follows the window.
    pub(super) fn is_last(&self) -> bool {
        self.done
    }

    /// Passes over bytes at the window's beginning.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Bytes of the file before the window. In encodings other than UTF-8 it is reckoned by proportion: good for a progress bar.
    pub(super) fn position(&self) -> u64 {
        let ahead = self.window().len() as u64;
        if self.decoder.is_none() || ahead == 0 {
            return self.read - ahead.min(self.read);
        }
        let share = u128::from(self.read) * u128::from(self.decoded - ahead) / u128::from(self.decoded.max(1));
        u64::try_from(share).unwrap_or(self.read)
    }

    /// Makes the window longer, at least twofold, so that looking at it again costs little in total.
    pub(super) fn more(&mut self) -> io::Result<()> {
        if self.done {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = CHUNK.max(self.end);
        let before = self.end;
        while !self.done && self.end == before {
            match self.decoder.take() {
                None => self.fill(wanted)?,
                Some(mut decoder) => {
                    let filled = self.decode(&mut decoder, wanted);
                    self.decoder = Some(decoder);
                    filled?;
                }
            }
        }
        self.decoded += (self.end - before) as u64;
        Ok(())
    }

    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.room(wanted);
        let n = read_some(&mut self.inner, self.buffer.get_mut(self.end..self.end + wanted).unwrap_or_default())?;
        self.end += n;
        self.read += n as u64;
        self.done = n == 0;
        Ok(())
    }

    fn decode(&mut self, decoder: &mut Decoder, wanted: usize) -> io::Result<()> {
        self.raw.resize(wanted, 0);
        let n = read_some(&mut self.inner, &mut self.raw)?;
        self.read += n as u64;
        self.done = n == 0;
        let mut from = 0;
        loop {
            self.room(CHUNK);
            let source = self.raw.get(from..n).unwrap_or_default();
            let target = self.buffer.get_mut(self.end..).unwrap_or_default();
            let (result, taken, written) = decoder.decode_to_utf8_without_replacement(source, target, self.done);
            from += taken;
            self.end += written;
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    self.room(1);
                    if let Some(place) = self.buffer.get_mut(self.end) {
                        *place = NO_TEXT;
                    }
                    self.end += 1;
                }
            }
        }
    }

    /// Makes room for so many bytes after the window.
    fn room(&mut self, bytes: usize) {
        if self.buffer.len() < self.end + bytes {
            self.buffer.resize(self.end + bytes, 0);
        }
    }
}

fn read_some(inner: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match inner.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
