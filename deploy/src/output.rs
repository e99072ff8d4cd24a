//! What the command line prints.
//!
//! **Owns** tables, progress, questions, and that `--json` is one document. **Must not know** commands. **Enter at**
//! [`Output`].
//!
//! Results go to standard output; notes, progress and questions to standard error, so that pipes see results only. A
//! reader that went away (`| head`) is no error; a full disk is one, and [`unwritten`] has it.

use std::fmt::Display;
use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::exit::Usage;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    /// Somebody can be asked.
    interactive: bool,
    /// Questions are answered with yes.
    yes: bool,
}

impl Output {
    pub(crate) fn new(json: bool, yes: bool) -> Self {
        let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self { json, interactive, yes }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// A line for people.
    pub(crate) fn line(self, text: impl Display) {
        if !self.json {
            print(&format!("{text}\n"));
        }
    }

    /// The one document for programs.
    pub(crate) fn document(self, value: &Value) {
        if self.json {
            print(&format!("{}\n", serde_json::to_string_pretty(value).expect("a JSON value can be written")));
        }
    }

    /// Bytes as they are, whatever the format.
    pub(crate) fn bytes(self, bytes: &[u8]) {
        let _is_read = write(bytes);
    }

    /// A line of an output that has no end, whatever the format. Whether somebody still reads.
    #[must_use]
    pub(crate) fn flow(self, line: impl Display) -> bool {
        write(format!("{line}\n").as_bytes())
    }

    /// A list: `raw` for programs, a table for people, `none` where it is empty.
    pub(crate) fn list<const N: usize>(
        self,
        raw: &Value,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        none: &str,
    ) {
        if self.json {
            return self.document(raw);
        }
        let rows: Vec<_> = rows.into_iter().collect();
        if rows.is_empty() { self.line(none) } else { self.table(head, rows) }
    }

    /// A table for people.
    pub(crate) fn table<const N: usize>(self, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(head);
        table.set_content_arrangement(if std::io::stdout().is_terminal() {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        self.line(text.join("\n"));
    }

    /// Something that is not the result: what is being done, what was ignored.
    pub(crate) fn note(self, text: impl Display) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Shows that `what` goes on until the returned value is dropped. Only where a person watches.
    pub(crate) fn progress(self, what: impl Display) -> Progress {
        if self.json || !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_string());
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:>}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress(Some(bar))
    }

    /// Asks before something is destroyed or replaced. Where nobody can be asked, `--yes` has to be given.
    pub(crate) fn confirm(self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !self.interactive {
            return Err(Usage(format!("{question} There is nobody to ask: give --yes.")).into());
        }
        // A line is read, and no key waited for: Ctrl-C then leaves the terminal as it was.
        let _ = write!(std::io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        let agreed = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
        if agreed { Ok(()) } else { Err(anyhow::anyhow!("nothing was changed")) }
    }

    /// A secret: typed unseen, or read from standard input without its final newline.
    pub(crate) fn secret(self, prompt: &str) -> anyhow::Result<String> {
        if self.interactive {
            return Ok(dialoguer::Password::new().with_prompt(prompt).interact()?);
        }
        let mut text = std::io::read_to_string(std::io::stdin())?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

/// Something in progress; dropping it clears the line.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// The first write to standard output that failed though somebody still reads.
static UNWRITTEN: OnceLock<std::io::Error> = OnceLock::new();

/// Why a part of the output is missing; the command has done what it was asked for, and can not be called a success.
pub(crate) fn unwritten() -> Option<&'static std::io::Error> {
    UNWRITTEN.get()
}

fn print(text: &str) {
    let _is_read = write(text.as_bytes());
}

/// Whether it was written.
fn write(bytes: &[u8]) -> bool {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => true,
        // Nobody is left to read.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => false,
        Err(error) => {
            // Only the first one is told.
            let _later = UNWRITTEN.set(error);
            false
        }
    }
}

/// Bytes as people read them.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.2} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.2} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// An optional text for a table cell.
pub(crate) fn cell(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// How long it is from `now` to a time, in its two largest units: `4d 19h`, `59m 3s`, or `ended`.
pub(crate) fn time_left(now: jiff::Timestamp, text: &str) -> String {
    let Ok(until) = text.parse::<jiff::Timestamp>() else { return text.to_owned() };
    let left = until.as_second() - now.as_second();
    match left {
        ..=0 => "ended".to_owned(),
        1..3600 => format!("{}m {}s", left / 60, left % 60),
        3600..86_400 => format!("{}h {}m", left / 3600, left / 60 % 60),
        _ => format!("{}d {}h", left / 86_400, left / 3600 % 24),
    }
}

/// A time without its fraction: `2026-01-31 12:00:00`.
pub(crate) fn time(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_told_in_its_two_largest_units() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for (until, says) in [
            ("2026-01-05T19:30:00.000Z", "4d 19h"),
            ("2026-01-01T05:02:59Z", "5h 2m"),
            ("2026-01-01T00:59:03Z", "59m 3s"),
            ("2026-01-01T00:00:00Z", "ended"),
            ("2025-12-31T00:00:00Z", "ended"),
            ("soon", "soon"),
        ] {
            assert_eq!(time_left(now, until), says, "{until}");
        }
    }
}
