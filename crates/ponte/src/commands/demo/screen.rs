//! The terminal: its size, the place the view is drawn on, and its return to how it was.
//! Failure story: whatever ends the demo, the guard's end gives the terminal back (but not when the process is killed).

use std::io::{IsTerminal, Write};
use std::process::Stdio;

/// The drawn-on terminal.
pub struct Screen {
    columns: usize,
    rows: usize,
}

/// Whether standard output is a terminal that can redraw.
pub fn can_redraw() -> bool {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb" || term.is_empty());
    std::io::stdout().is_terminal() && !dumb
}

/// Whether colours are welcome: <https://no-color.org>.
pub fn colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Screen {
    /// Takes the terminal: other screen, no cursor, no wrapping.
    pub async fn open() -> Self {
        write("\x1b[?1049h\x1b[?25l\x1b[?7l");
        let mut screen = Self { columns: 80, rows: 24 };
        screen.measure().await;
        screen
    }

    /// Columns and rows.
    pub const fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// Asks for the size again, as after a change of the window.
    pub async fn measure(&mut self) {
        if let Some((columns, rows)) = size().await {
            (self.columns, self.rows) = (columns, rows);
        }
    }

    /// Draws a frame over the one before, in one piece where the terminal can.
    pub fn draw(&self, lines: &[String]) {
        let mut text = String::from("\x1b[?2026h\x1b[H");
        text.push_str(&lines.join("\x1b[K\r\n"));
        text.push_str("\x1b[K\x1b[J\x1b[?2026l");
        write(&text);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write("\x1b[?7h\x1b[?25h\x1b[?1049l");
    }
}

/// A terminal that is gone can't be drawn on; nothing else depends on it.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// `stty size` prints rows and columns of the terminal it reads from.
async fn size() -> Option<(usize, usize)> {
    let terminal = std::fs::File::open("/dev/tty").ok()?;
    let asked = tokio::process::Command::new("stty")
        .arg("size")
        .stdin(Stdio::from(terminal))
        .stderr(Stdio::null())
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(asked.stdout).ok()?;
    let mut numbers = text.split_whitespace().filter_map(|n| n.parse::<usize>().ok());
    let (rows, columns) = (numbers.next()?, numbers.next()?);
    (rows > 0 && columns > 0).then_some((columns, rows))
}
