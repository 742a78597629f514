//! Layer 11 · What a command says while it works: log lines, warnings and progress on stderr, results on stdout.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes results to stdout. A reader that has gone away (`| head`) is no fault of ours.
///
/// # Errors
/// When stdout cannot be written for another reason.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    match write!(io::stdout().lock(), "{}", harmless(&text.to_string())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A table for stdout, in Markdown, so that it can be pasted as it is; numbers from the second column on.
pub fn table(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table
        .load_style(ASCII_MARKDOWN)
        .set_header(header.into_iter().collect::<Vec<_>>());
    table.column_iter_mut().skip(1).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    table
}

/// One line on stderr that says why the command stops.
pub fn error(message: impl Display) {
    line("voxelift: error: ", message);
}

/// Writes one line to stderr; what cannot be said there is lost, since there is nowhere else to say it.
fn line(prefix: &str, message: impl Display) {
    let message = message.to_string();
    let joined = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let joined = harmless(&joined);
    let _ = writeln!(io::stderr().lock(), "{prefix}{joined}");
}

/// A text without what a terminal obeys or shows otherwise than it is: control characters but line ends and tabs, and those that
/// turn the direction of writing, each as `\\u` and its number. File names, cards and tables come from others.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) {
            // As JSON writes it, so that JSON stays JSON.
            shown.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// How much is said.
#[derive(Debug)]
pub struct Terminal {
    level: i16,
    bars: MultiProgress,
}

impl Terminal {
    /// `quiet` leaves warnings and errors only; each `verbose` adds detail.
    pub fn new(quiet: bool, verbose: u8) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self {
            level: i16::from(verbose) - i16::from(quiet),
            bars: MultiProgress::with_draw_target(target),
        }
    }

    /// The arguments that make another process of this program say as much.
    pub fn arguments(&self) -> Vec<String> {
        let word = if self.level < 0 { "--quiet" } else { "--verbose" };
        vec![word.to_owned(); usize::from(self.level.unsigned_abs())]
    }

    /// One of several pieces of work has failed; the others go on.
    pub fn complain(&self, message: impl Display) {
        self.bars.suspend(|| error(message));
    }

    /// Something is doubtful, yet the work goes on. Said even when quiet.
    pub fn warn(&self, message: impl Display) {
        self.bars.suspend(|| line("voxelift: warning: ", message));
    }

    /// What is being done.
    pub fn say(&self, message: impl Display) {
        if self.level >= 0 {
            self.bars.suspend(|| line("", message));
        }
    }

    /// What only `-v` shows.
    pub fn detail(&self, message: impl Display) {
        if self.level >= 1 {
            self.bars.suspend(|| line("", message));
        }
    }

    /// Progress over `total` units of work: a bar on a terminal, plain lines otherwise.
    pub fn progress(&self, what: &str, unit: &'static str, total: u64) -> Progress<'_> {
        let bar = (self.level >= 0 && io::stderr().is_terminal()).then(|| {
            let template =
                format!("{{prefix}} [{{bar:16}}] {{pos}}/{{len}} {unit} · {{eta}} left{{wide_msg}}");
            let style = ProgressStyle::with_template(&template).expect("a well-formed template");
            let bar = self
                .bars
                .add(ProgressBar::new(total))
                .with_style(style.progress_chars("=> "));
            bar.set_prefix(harmless(what).into_owned());
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Progress {
            terminal: self,
            what: what.to_owned(),
            unit,
            total,
            started: Instant::now(),
            first: None,
            said: None,
            bar,
        }
    }
}

/// The progress of one piece of work; a bar is cleared when this is dropped.
#[derive(Debug)]
pub struct Progress<'a> {
    terminal: &'a Terminal,
    what: String,
    unit: &'static str,
    total: u64,
    started: Instant,
    /// What was finished before this process began.
    first: Option<u64>,
    said: Option<Instant>,
    bar: Option<ProgressBar>,
}

/// Between two plain lines, so that a log file stays readable.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

impl Progress<'_> {
    /// `done` units are finished; `note` stands behind the bar or the line.
    pub fn set(&mut self, done: u64, note: &str) {
        let first = *self.first.get_or_insert_with(|| {
            let before = done.saturating_sub(1);
            if let Some(bar) = &self.bar {
                bar.set_position(before);
                bar.reset_eta();
            }
            before
        });
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(if note.is_empty() {
                String::new()
            } else {
                format!(" · {}", harmless(note))
            });
            return;
        }
        let since = self.said.unwrap_or(self.started).elapsed();
        if since < BETWEEN_LINES {
            return;
        }
        self.said = Some(Instant::now());
        let rate = (done - first.min(done)) as f64 / self.started.elapsed().as_secs_f64();
        let left = self.total.saturating_sub(done) as f64 / rate.max(1e-9);
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(" · {note}")
        };
        let (what, unit, total) = (&self.what, self.unit, self.total);
        self.terminal.say(format!(
            "{what}: {done}/{total} {unit} · {} left{note}",
            duration(left)
        ));
    }
}

/// Seconds as a person says them: 45 s, 12 min 5 s, 3 h 20 min.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        for (text, shown) in [
            ("plain · ä 患\t1\n", "plain · ä 患\t1\n"),
            ("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007"),
            ("\u{9b}2J\r\u{7f}", "\\u009b2J\\u000d\\u007f"),
            ("a\u{202e}gpj.exe\u{2066}", "a\\u202egpj.exe\\u2066"),
        ] {
            assert_eq!(harmless(text), shown);
        }
        let json = serde_json::to_string("a\u{202e}b\u{1b}").expect("JSON");
        let read: String = serde_json::from_str(&harmless(&json)).expect("still JSON");
        assert_eq!(read, "a\u{202e}b\u{1b}");
    }

    #[test]
    fn durations_read_as_a_person_says_them() {
        assert_eq!(duration(44.6), "45 s");
        assert_eq!(duration(725.0), "12 min 5 s");
        assert_eq!(duration(12_059.0), "3 h 20 min");
    }
}
