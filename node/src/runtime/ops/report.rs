//! What the guest says about itself: log lines, and how its load went.
//!
//! **Owns** source positions and the length of log lines. **Must not know** where the log goes. **Enter at** [`Report`].

use std::borrow::Cow;

use super::{Ops, Replied};
use crate::{
    bindings::outbound::{CallContext, LogLevel, LogRecord},
    runtime::{frame::Reader, limits, position, worker::LoadError},
};

/// What is known from outside any request.
pub(crate) struct Report {
    context: CallContext,
    loaded: Option<Result<Vec<String>, LoadError>>,
}

impl Report {
    pub(super) fn new(context: CallContext) -> Self {
        Self { context, loaded: None }
    }

    /// How the load went, once it is over: the handlers, or why not.
    pub(crate) fn take_loaded(&mut self) -> Option<Result<Vec<String>, LoadError>> {
        self.loaded.take()
    }

    pub(super) fn loaded(&mut self, args: &mut Reader<'_>) -> Replied {
        let names = args.texts()?;
        self.loaded = Some(Ok(names.into_iter().map(str::to_owned).collect()));
        Ok(false)
    }
}

impl Ops {
    /// LOAD_FAILED
    pub(super) fn load_failed(&mut self, args: &mut Reader<'_>) -> Replied {
        let error = position::load_error(args.text()?, args.optional_text()?.unwrap_or_default());
        let error = self.in_sources(|origins| origins.load_error(error));
        self.report.loaded = Some(Err(error));
        Ok(false)
    }

    /// LOG
    pub(super) fn log(&mut self, args: &mut Reader<'_>) -> Replied {
        let level = match args.int()? {
            0 => LogLevel::Debug,
            1 => LogLevel::Info,
            3 => LogLevel::Warn,
            4 => LogLevel::Error,
            5 => LogLevel::Exception,
            _ => LogLevel::Log,
        };
        let request = args.int()?;
        let message = args.text()?;
        let stack = args.optional_text()?;
        // What is not shown is not looked up either, and what is found there may be longer.
        let (message, stack) = (cut(message), stack.map(cut));
        let position = match level {
            LogLevel::Exception => stack.as_deref().map(position::worker_frames),
            _ => stack.as_deref().and_then(position::place).map(str::to_owned),
        };
        let position = position.filter(|text| !text.is_empty());
        let (message, position) = self.in_sources(|origins| {
            let position = position.map(|position| cut(&origins.position(&position)).into_owned());
            (cut(&origins.stack(&message)).into_owned(), position)
        });
        let record = LogRecord { level, message, position, at_ms: self.now_ms as i64 };
        let context = self.requests.context(request).unwrap_or_else(|_| self.report.context.clone());
        context.outbound.log(&context, record);
        Ok(false)
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= limits::LOG_LINE_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(limits::LOG_LINE_BYTES_MAX - 3);
    Cow::Owned(format!("{}...", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_once_between_characters() {
        let long = "\u{20ac}".repeat(limits::LOG_LINE_BYTES_MAX);
        let short = cut(&long);
        assert!(short.len() <= limits::LOG_LINE_BYTES_MAX && short.ends_with("\u{20ac}..."));
        assert_eq!(cut(&short), short);
    }
}
