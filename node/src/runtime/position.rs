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
    let place = line.trim().strip_prefix("at ")?;
    let place = match place.rfind(" (") {
        Some(at) => place[at + 2..].strip_suffix(')')?,
        None => place,
    };
    if place == "native" || place.starts_with(PRELUDE) || place.starts_with('<') {
        return None;
    }
    let mut parts = place.rsplitn(3, ':');
    let (last, middle, first) = (parts.next()?, parts.next(), parts.next());
    match (first, middle.map(str::parse), last.parse()) {
        (Some(file), Some(Ok(line)), Ok(column)) => Some((file, Some(line), Some(column))),
        _ => match (middle, last.parse()) {
            (Some(file), Ok(line)) => Some((file, Some(line), None)),
            _ => Some((place, None, None)),
        },
    }
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
