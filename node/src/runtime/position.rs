//! Pure. Source positions out of JavaScript stacks.
//!
//! **Owns** the form of the engine's stack lines. **Must not know** who throws. **Enter at** [`worker_frames`].
//! A line is `    at name (file:line:column)` or `    at file:line:column`; files of the prelude and native functions say
//! nothing to a worker's author and are left out.

use super::worker::LoadError;

const PRELUDE: &str = "skerry:internal/";

/// The lines of `stack` that lie in the worker's own files.
pub(crate) fn worker_frames(stack: &str) -> String {
    let lines: Vec<&str> = stack.lines().filter(|line| frame(line).is_some() || !is_frame(line)).collect();
    lines.join("\n")
}

/// A failed load, at the first position of its stack.
pub(crate) fn load_error(message: &str, stack: &str) -> LoadError {
    let (file, line, column) = match stack.lines().find_map(frame) {
        Some((file, line, column)) => (Some(file.to_owned()), line, column),
        None => (None, None, None),
    };
    LoadError { message: message.to_owned(), file, line, column }
}

fn is_frame(line: &str) -> bool {
    line.trim_start().starts_with("at ")
}

/// File, line and column of a stack line in the worker's own files.
fn frame(line: &str) -> Option<(&str, Option<u32>, Option<u32>)> {
    place(line).map(parts)
}

/// The part of a stack line that says where in the worker's own files it is.
pub(crate) fn place(line: &str) -> Option<&str> {
    let place = line.trim().strip_prefix("at ")?;
    let place = match place.rfind(" (") {
        Some(at) => place[at + 2..].strip_suffix(')')?,
        None => place,
    };
    (place != "native" && !place.starts_with(PRELUDE) && !place.starts_with('<')).then_some(place)
}

/// File, line and column of `file:line:column`, of which the last two may be missing.
pub(crate) fn parts(place: &str) -> (&str, Option<u32>, Option<u32>) {
    let Some((rest, last)) = number_at_end(place) else { return (place, None, None) };
    match number_at_end(rest) {
        Some((file, line)) => (file, Some(line), Some(last)),
        None => (rest, Some(last), None),
    }
}

fn number_at_end(text: &str) -> Option<(&str, u32)> {
    let (rest, number) = text.rsplit_once(':')?;
    Some((rest, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "    at parse (native)\n    at skerry:internal/body.js:3:4\n    at handle (src/api.js:10:7)\n    at index.js:2:1";

    #[test]
    fn only_the_workers_own_files_are_shown() {
        assert_eq!(worker_frames(STACK), "    at handle (src/api.js:10:7)\n    at index.js:2:1");
    }

    #[test]
    fn a_load_error_names_the_first_position_of_the_worker() {
        let error = load_error("SyntaxError: no", STACK);
        assert_eq!((error.file.as_deref(), error.line, error.column), (Some("src/api.js"), Some(10), Some(7)));
    }

    #[test]
    fn odd_stacks_give_no_position_and_no_panic() {
        for stack in ["", "at", "    at ", "    at (", "    at x (", ":::", "    at :1:2", "    at ü (ü:9)"] {
            let _error = load_error("x", stack);
            let _frames = worker_frames(stack);
        }
    }
}
