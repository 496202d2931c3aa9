//! The live view as lines of text: one sample in, a frame out. Pure.
//! Widths: terminals disagree about some emoji, so what follows a free text is placed by column, not by counting.

use super::sample::{Line, Row, Sample};
use super::words;
use jiff::Timestamp;
use std::fmt::Write;

/// What the footer names.
#[derive(Debug, Clone, Default)]
pub struct Signposts {
    /// Label and what to open or type, the most useful first.
    pub lines: Vec<(String, String)>,
}

/// How a frame is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub columns: usize,
    pub rows: usize,
    pub color: bool,
    pub draining: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "36";
const RED: &str = "31";

impl Look {
    fn paint(self, style: &str, text: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The last column stays free: a terminal that wraps there would scroll.
    const fn width(self) -> usize {
        self.columns.saturating_sub(1)
    }
}

/// Columns of the labels on the left.
const LABEL: usize = 11;
/// Lines besides ticker and signposts.
const FIXED: usize = 11;

/// How many messages the ticker shows.
pub fn ticker_lines(look: Look, signposts: &Signposts) -> usize {
    look.rows.saturating_sub(FIXED + signpost_lines(signposts, look).len()).min(24)
}

/// A command that is cut off is of no use: what is too long goes on in the next line.
fn signpost_lines(signposts: &Signposts, look: Look) -> Vec<String> {
    let room = look.width().saturating_sub(LABEL);
    let mut lines = Vec::new();
    for (label, what) in &signposts.lines {
        let mut label = label.as_str();
        let mut line = String::new();
        for word in what.split(' ') {
            if !line.is_empty() && width(&line) + 1 + width(word) > room {
                lines.push(format!("{}{}", look.paint(DIM, &pad(label, LABEL)), line.trim_end()));
                (label, line) = ("", String::new());
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(format!("{}{}", look.paint(DIM, &pad(label, LABEL)), cut(&line, room)));
    }
    lines
}

/// One frame: at most `rows` lines, none wider than the terminal.
pub fn frame(sample: &Sample, signposts: &Signposts, now: i64, look: Look) -> Vec<String> {
    let mut lines = vec![header(sample, now, look), columns(look)];
    for (name, row) in words::ROWS.iter().zip(&sample.rows) {
        lines.push(row_line(name, row, look));
    }
    lines.push(lag_line(sample, look));
    lines.push(queue_line(sample, look));
    lines.push(trouble_line(sample, look));
    lines.push(rule(words::LATEST, look));
    let ticker = ticker_lines(look, signposts);
    for at in 0..ticker {
        lines.push(sample.latest.get(at).map(|line| ticker_line(line, look)).unwrap_or_default());
    }
    lines.push(rule(words::WHERE, look));
    lines.extend(signpost_lines(signposts, look));
    lines.truncate(look.rows);
    lines
}

fn header(sample: &Sample, now: i64, look: Look) -> String {
    let clock = Timestamp::from_millisecond(now).map_or_else(|_| String::new(), |t| t.strftime("%H:%M:%S").to_string());
    let running = format!("{:02}:{:02}", sample.seconds / 60, sample.seconds % 60);
    let hint = if look.draining { words::DRAINING } else { words::STOP };
    let right = format!("{running}  {clock} UTC  {hint}");
    let left = format!("{} · {}", words::TITLE, words::SHORT_COMPANY);
    let room = look.width().saturating_sub(width(&right) + 1);
    let left = cut(&left, room);
    let gap = " ".repeat(look.width().saturating_sub(width(&left) + width(&right)));
    let right = if look.draining { look.paint(YELLOW, &right) } else { look.paint(DIM, &right) };
    format!("{}{gap}{right}", look.paint(BOLD, &left))
}

fn columns(look: Look) -> String {
    let [total, rate, history] = words::COLUMNS;
    look.paint(DIM, &cut(&format!("{:<11}{total:>9}{rate:>8}   {history}", words::FLOW), look.width()))
}

fn row_line(name: &str, row: &Row, look: Look) -> String {
    // From 70 columns on each second of the minute has its own bar.
    let bars = look.width().saturating_sub(33).clamp(10, 60);
    let spark = sparkline(&row.history, bars);
    let numbers = format!("{:>9}{:>8}", grouped(row.total), grouped(row.per_minute));
    format!("{}{}   {}", look.paint(BOLD, &pad(name, LABEL)), numbers, look.paint(BLUE, &spark))
}

fn lag_line(sample: &Sample, look: Look) -> String {
    let parts: Vec<String> = words::LAGS
        .iter()
        .zip(&sample.lags)
        .map(|(name, lag)| match lag {
            Some((p50, p95)) => format!("{name} {}/{}", span(*p50), span(*p95)),
            None => format!("{name} –"),
        })
        .collect();
    labelled(words::LAG, &cut(&parts.join("  "), look.width().saturating_sub(LABEL)), look)
}

fn queue_line(sample: &Sample, look: Look) -> String {
    let parts: Vec<String> = words::QUEUE.iter().zip(sample.queues).map(|(name, n)| format!("{name} {n}")).collect();
    let [people, threads] = words::PEOPLE;
    let text = format!("{}   ({} {people}, {} {threads})", parts.join("   "), sample.people, sample.conversations);
    labelled(words::QUEUES, &cut(&text, look.width().saturating_sub(LABEL)), look)
}

fn trouble_line(sample: &Sample, look: Look) -> String {
    let parts: Vec<String> =
        words::TROUBLES.iter().zip(sample.troubles).map(|(name, n)| format!("{name} {n}")).collect();
    let dead = format!("{} {}", words::DEAD, sample.dead_letters);
    let room = look.width().saturating_sub(LABEL + width(&dead) + 2);
    let text = cut(&parts.join("  "), room);
    let dead = if sample.dead_letters > 0 { look.paint(RED, &dead) } else { dead };
    format!("{}  {dead}", labelled(words::TROUBLE, &text, look))
}

fn labelled(label: &str, text: &str, look: Look) -> String {
    format!("{}{text}", look.paint(BOLD, &pad(label, LABEL)))
}

fn rule(title: &str, look: Look) -> String {
    let line = "─".repeat(look.width().saturating_sub(width(title) + 1));
    look.paint(DIM, &format!("{title} {line}"))
}

/// Width of the state and of the CRM's mark.
const STATE: usize = 16;
const MARK: usize = 5;

fn ticker_line(line: &Line, look: Look) -> String {
    let clock =
        Timestamp::from_millisecond(line.at).map_or_else(|_| String::new(), |t| t.strftime("%M:%S").to_string());
    let arrow = if line.inbound { look.paint(GREEN, "←") } else { look.paint(BLUE, "→") };
    let state_at = look.width().saturating_sub(STATE + MARK);
    let head = 11;
    let text = pad(&cut(&plain(&line.text), state_at.saturating_sub(head + 1)), state_at.saturating_sub(head));
    let state = pad(line.state, STATE);
    let state = match line.state.chars().next() {
        Some('✗') => look.paint(RED, &state),
        Some('✓') => look.paint(GREEN, &state),
        _ => look.paint(DIM, &state),
    };
    let mark = if line.in_crm { look.paint(GREEN, words::IN_CRM) } else { " ".repeat(MARK) };
    let clock = look.paint(DIM, &clock);
    // `CSI n G` goes to a column, whatever the terminal thinks of the text before.
    format!("{clock} {arrow} {} {text}\x1b[{}G{state}\x1b[{}G{mark}", line.language, state_at + 1, state_at + STATE + 1)
}

/// A line for terminals that can't redraw, and for logs.
pub fn plain_line(sample: &Sample) -> String {
    let mut text = format!("{:>4}s", sample.seconds);
    for (name, row) in words::ROWS.iter().zip(&sample.rows) {
        let _ = write!(text, "  {} {}", name.to_lowercase(), row.total);
    }
    if let [_, Some((p50, p95)), _] = sample.lags {
        let _ = write!(text, "  {} {} / {}", words::LAGS[1], span(p50), span(p95));
    }
    let waiting: i64 = sample.queues.iter().sum();
    let _ = write!(text, "  waiting {waiting}  {} {}", words::DEAD, sample.dead_letters);
    text
}

/// Bars of the newest counts, the highest of them full. More counts than bars are added up.
fn sparkline(history: &[u64], bars: usize) -> String {
    const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let per_bar = 60_usize.div_ceil(bars.max(1));
    let sums: Vec<u64> = history.rchunks(per_bar).map(|chunk| chunk.iter().sum()).collect();
    let most = sums.iter().max().copied().unwrap_or(0).max(1);
    sums.iter()
        .rev()
        .map(|n| {
            let step = (n * 8).div_ceil(most);
            STEPS.get(usize::try_from(step).unwrap_or(8)).copied().unwrap_or('█')
        })
        .collect()
}

/// `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Milliseconds for people.
fn span(ms: f64) -> String {
    if ms < 1_000.0 { format!("{ms:.0}ms") } else { format!("{:.1}s", ms / 1_000.0) }
}

/// Without what terminals measure differently or act on: controls, joiners, variation selectors, skin tones.
fn plain(text: &str) -> String {
    let odd = |c: char| matches!(c, '\u{200B}'..='\u{200F}' | '\u{FE00}'..='\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}');
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !odd(*c)).collect()
}

fn width_of(c: char) -> usize {
    match c {
        '\u{0300}'..='\u{036F}' => 0,
        '\u{1100}'..='\u{115F}'
        | '\u{2E80}'..='\u{A4CF}'
        | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FE30}'..='\u{FE6F}'
        | '\u{FF00}'..='\u{FF60}'
        | '\u{FFE0}'..='\u{FFE6}'
        | '\u{1F300}'..='\u{1FAFF}' => 2,
        _ => 1,
    }
}

fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// At most `room` columns; what doesn't fit is cut off with an ellipsis.
fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        if used + width_of(c) + 1 > room {
            break;
        }
        used += width_of(c);
        out.push(c);
    }
    if room > 0 {
        out.push('…');
    }
    out
}

fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without escape sequences.
    fn bare(line: &str) -> String {
        let mut out = String::new();
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            if c == '\x1b' {
                for c in chars.by_ref() {
                    if c.is_ascii_alphabetic() {
                        break;
                    }
                }
            } else {
                out.push(c);
            }
        }
        out
    }

    fn busy() -> (Sample, Signposts) {
        let row = Row { total: 1_234_567, per_minute: 12_345, history: (0..60).collect() };
        let line =
            |text: &str, state| Line { at: 0, inbound: true, language: "zh", text: text.into(), state, in_crm: true };
        let sample = Sample {
            seconds: 754,
            rows: [row.clone(), row.clone(), row.clone(), row],
            lags: [Some((3.0, 12.0)), Some((1_500.0, 61_000.0)), None],
            queues: [12, 3456, 1, 999],
            troubles: [10, 200, 3000, 4, 50_000],
            dead_letters: 12,
            people: 1000,
            conversations: 1001,
            latest: vec![
                line(
                    "你好,請問我的訂單 #860198 到哪裡了?你好,請問我的訂單到哪裡了?你好,請問我的訂單到哪裡了?",
                    "received",
                ),
                line("❤️👍🏽 \x1b[2J\nthanks", "✓✓ read"),
                line(&"x".repeat(500), "unclear, asking"),
            ],
        };
        let signpost = |n: usize| ("label".to_owned(), "http://127.0.0.1:12345/ ".repeat(n));
        (sample, Signposts { lines: (1..=5).map(signpost).collect() })
    }

    #[test]
    fn a_frame_fits_its_terminal() {
        let (sample, signposts) = busy();
        for (columns, rows) in [(80, 24), (140, 40), (200, 60), (60, 16), (20, 5)] {
            for color in [true, false] {
                for draining in [true, false] {
                    let look = Look { columns, rows, color, draining };
                    let lines = frame(&sample, &signposts, 0, look);
                    assert!(lines.len() <= rows, "{columns}x{rows}: {} lines", lines.len());
                    if columns < 60 {
                        continue;
                    }
                    for line in &lines {
                        let line = bare(line);
                        assert!(width(&line) < columns, "{columns}x{rows}: {} {line}", width(&line));
                        assert!(!line.contains(char::is_control));
                    }
                    assert!(color || lines.iter().all(|line| !line.contains("\x1b[0m")));
                }
            }
        }
    }

    #[test]
    fn the_ticker_fills_what_is_left_and_the_signposts_are_all_there() {
        let (sample, signposts) = busy();
        let look = Look { columns: 80, rows: 24, color: false, draining: false };
        let lines = frame(&sample, &signposts, 0, look);
        assert_eq!((lines.len(), ticker_lines(look, &signposts)), (24, 4));
        assert_eq!(lines.iter().filter(|l| l.starts_with("label")).count(), 5);
        assert!(lines.last().unwrap().starts_with(&" ".repeat(LABEL)));
        assert!(lines.iter().any(|l| l.contains("12,345") && l.contains('█')));
    }

    #[test]
    fn numbers_bars_and_cuts() {
        assert_eq!((grouped(0), grouped(999), grouped(1000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(sparkline(&[0, 4, 8], 60), " ▄█");
        assert_eq!(sparkline(&[1, 1, 1, 1], 30), "██");
        assert_eq!((cut("你好嗎", 5), cut("abc", 3), cut("abcd", 3)), ("你好…".into(), "abc".into(), "ab…".into()));
        assert_eq!((span(12.4), span(2_340.0)), ("12ms".into(), "2.3s".into()));
    }
}
