//! Whether code is an ES module.
//!
//! **Owns** telling the words `export` and `import` of a module from the same words in strings, templates, comments, regular
//! expressions, and names of properties. **Must not know** what is done with a module. **Enter at** [`is_module`].
//!
//! Both words are reserved, so what follows one of them says enough, wherever it stands (ECMA-262, 16.2). The code was made for
//! an engine and is taken to be valid: where it is not, the engine says so after the upload.

/// Words after which a `/` begins a regular expression.
const OPERATORS: &str = "return typeof case in of delete void throw new do else instanceof await yield default";

/// Whether `code` imports or exports something.
pub(super) fn is_module(code: &str) -> bool {
    let code = code.trim_start_matches('\u{feff}').as_bytes();
    let mut scan = Scan { code, at: 0, open: Vec::new(), before: Before::Operator };
    while let Some(byte) = scan.peek(0) {
        if scan.step(byte) {
            return true;
        }
    }
    false
}

/// What stands before a place in the code; it tells a division from a regular expression, and a name from a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The end of a value: `/` divides.
    Value,
    /// Anything else: `/` begins a regular expression.
    Operator,
    /// `if`, `for`, `while` or `with`.
    Head,
    /// A dot: a word is the name of a property.
    Dot,
}

/// What an opening bracket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// An expression, a block, a list.
    Bracket,
    /// `if (..)` and its like: no value ends with it.
    Head,
    /// `${..}` in a template.
    Template,
}

struct Scan<'a> {
    code: &'a [u8],
    at: usize,
    open: Vec<Open>,
    before: Before,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.code.get(self.at + ahead).copied()
    }

    /// Passes by what begins here, at least one byte. Whether it makes the code a module.
    fn step(&mut self, byte: u8) -> bool {
        if is_word(byte) {
            return self.word();
        }
        match byte {
            b'"' | b'\'' => self.string(byte),
            b'`' => {
                self.at += 1;
                self.template();
            }
            b'/' => self.slash(),
            b'(' | b'[' | b'{' => self.opening(byte),
            b')' | b']' | b'}' => self.closing(byte),
            // After a value this is `a++`, and a division may follow.
            b'+' | b'-' if self.peek(1) == Some(byte) => self.at += 2,
            _ => {
                self.at += 1;
                if !byte.is_ascii_whitespace() {
                    self.before = if byte == b'.' { Before::Dot } else { Before::Operator };
                }
            }
        }
        false
    }

    fn word(&mut self) -> bool {
        let code = self.code;
        let rest = &code[self.at..];
        let word = &rest[..rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len())];
        self.at += word.len();
        let before = std::mem::replace(&mut self.before, Before::Value);
        if before == Before::Dot {
            return false;
        }
        match word {
            b"export" => return self.exports(),
            b"import" => return self.imports(),
            b"if" | b"for" | b"while" | b"with" => self.before = Before::Head,
            b"await" if before == Before::Head => self.before = Before::Head,
            _ if OPERATORS.split(' ').any(|operator| operator.as_bytes() == word) => self.before = Before::Operator,
            _ => {}
        }
        false
    }

    /// The first byte from here on that is no space, and what follows it.
    fn ahead(&self) -> &[u8] {
        self.code[self.at..].trim_ascii_start()
    }

    /// Whether `export` exports: in a script it can only be the name of a property or method, before `:`, `(` or the like.
    fn exports(&self) -> bool {
        self.ahead().first().is_some_and(|byte| matches!(byte, b'{' | b'*' | b'/') || is_word(*byte))
    }

    /// The same of `import`. Scripts may call `import(..)`; only modules have `import.meta`.
    fn imports(&self) -> bool {
        let ahead = self.ahead();
        let begins = ahead.first().is_some_and(|byte| matches!(byte, b'{' | b'*' | b'"' | b'\'') || is_word(*byte));
        begins || ahead.strip_prefix(b".").is_some_and(|ahead| ahead.trim_ascii_start().starts_with(b"meta"))
    }

    /// A string, up to its end or the end of the line.
    fn string(&mut self, quote: u8) {
        self.before = Before::Value;
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.at += if self.peek(1) == Some(b'\r') { 3 } else { 2 },
                b'\n' => return,
                _ => self.at += 1,
            }
            if byte == quote {
                return;
            }
        }
    }

    /// The text of a template, up to its end or to a `${`.
    fn template(&mut self) {
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'`', _) => {
                    self.at += 1;
                    self.before = Before::Value;
                    return;
                }
                (b'$', Some(b'{')) => {
                    self.at += 2;
                    self.before = Before::Operator;
                    return self.open.push(Open::Template);
                }
                (b'\\', _) => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// A comment, a regular expression or a division.
    fn slash(&mut self) {
        let code = self.code;
        let rest = &code[self.at..];
        let length = |end: Option<usize>, of: usize| end.map_or(rest.len(), |end| end + of);
        match rest.get(1) {
            Some(b'/') => self.at += length(rest.iter().position(|byte| *byte == b'\n'), 0),
            Some(b'*') => self.at += length(rest[2..].windows(2).position(|two| two == b"*/"), 4),
            _ => match regex(rest).filter(|_| self.before != Before::Value) {
                Some(end) => {
                    self.at += end;
                    self.before = Before::Value;
                }
                None => {
                    self.at += 1;
                    self.before = Before::Operator;
                }
            },
        }
    }

    fn opening(&mut self, byte: u8) {
        let is_head = byte == b'(' && self.before == Before::Head;
        self.open.push(if is_head { Open::Head } else { Open::Bracket });
        self.at += 1;
        self.before = Before::Operator;
    }

    fn closing(&mut self, byte: u8) {
        self.at += 1;
        match self.open.pop() {
            Some(Open::Template) if byte == b'}' => self.template(),
            // A block ends far more often before a regular expression than an object before a division.
            Some(Open::Head) => self.before = Before::Operator,
            _ => self.before = if byte == b'}' { Before::Operator } else { Before::Value },
        }
    }
}

/// The bytes of the regular expression that `rest` begins with; `None` when its line ends before it does.
fn regex(rest: &[u8]) -> Option<usize> {
    let (mut at, mut is_class) = (1, false);
    loop {
        match rest.get(at)? {
            b'\n' => return None,
            b'\\' => at += 1,
            b'[' => is_class = true,
            b']' => is_class = false,
            b'/' if !is_class => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
}

/// Whether a byte is part of a name or number; all beyond ASCII are taken for letters.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_however_they_are_written() {
        for code in [
            r#"const c=new AbortController;c.signal.addEventListener("abort",f);export default{fetch(){}}"#,
            r#"export*from"./x""#,
            "\u{feff}export{a as default};",
            "export\n\tdefault {}",
            "export/* the handler */default {}",
            "import\"./x.js\";addEventListener(\"fetch\",f)",
            "import{a}from\"./x.js\"",
            "import * as a from './x.js'",
            "const here = import.meta.url",
            r"const a=b/2,c='it\'s',d=/['`]/g;export{d}",
            "if(a)/[\"/]/.test(b)&&c();export{c}",
            "for await(const a of b)/'/.test(a);export{c}",
            "function f(){}/'/.test(a);export{c}",
            "a=`x ${b({c:`}`})/2} \\` export`;export{a}",
            "i++/2;j='//';export{i}",
            "/* it's */ // don't\nexport {}",
        ] {
            assert!(is_module(code), "{code}");
        }
    }

    #[test]
    fn words_that_only_look_like_a_modules_are_passed_by() {
        for code in [
            "addEventListener('fetch', (event) => event.respondWith(new Response('export default {}')))",
            "// export default {}\n/*\nexport default {}\nimport x from 'y'\n*/\naddEventListener('fetch', f)",
            "const text = `\nexport default {}\n${a} export {} ${`import x from 'y'`}`;",
            "const a = { export: 1, import() {} }; a.export = 2; a . import = 3; a?.export;",
            "const test = /export default {}/; const other = /[/]export {}/.test(x);",
            "const late = await import('./x.js'); import(\"y\"); exports.x = 1; $import; reexport {}",
            "const half = a / 2; // export {}\nconst text = 'export\\\r\n default {}';",
            "",
        ] {
            assert!(!is_module(code), "{code}");
        }
    }
}
