//! Pure. Whether what counts differs from what was built.
//!
//! **Owns** the comparison, and whose a change is that falls into a build. **Must not know** where files lie, nor when
//! to look. **Enter at** [`Baseline`].
//!
//! ```text
//! Built --look: differs--> Building --built--> Built
//!   `--look: the same--> Built        `--built, a file changed meanwhile--> Due --look--> Building
//! ```
//! - A file that changed during a build was saved by the developer, too late for the build, or written by the build's
//!   command. Nothing tells one from the other at the first time, so another build is due.
//! - Who writes in build after build is the command: that file's changes during builds are part of them from then on,
//!   until it changes outside one. Without this, a command that writes what is watched would build for ever.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::contents::Contents;

/// BOUND: how often a change during a build begins another, for one file and in a row. More would begin more builds for
/// nothing at each start; fewer would lose the save of somebody who saves during as many builds of a command in a row.
const MAX_ECHOES: u8 = 2;

/// What the last build was made from.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    /// As it was when that build began.
    began: Contents,
    /// As it was when that build had ended.
    ended: Contents,
    /// In how many builds a file changed since it last changed outside one.
    meanwhile: BTreeMap<PathBuf, u8>,
    is_due: bool,
    /// How many builds in a row began for nothing but what changed during the one before.
    echoes: u8,
}

impl Baseline {
    /// Compares; whether to build. If so, the build begins with what was found now.
    pub(super) fn look(&mut self, now: Contents) -> bool {
        let is_echo = now == self.ended;
        if is_echo && !self.is_due {
            return false;
        }
        for path in differing(&self.ended, &now) {
            self.meanwhile.remove(path);
        }
        self.echoes = if is_echo { self.echoes.saturating_add(1) } else { 0 };
        self.is_due = false;
        self.began = now;
        true
    }

    /// A build has ended, well or not, and finds `now`. `was_known` says of which files it is known how they were when
    /// it began; `has_command` whether it may have written them itself.
    pub(super) fn built(&mut self, now: Contents, has_command: bool, was_known: impl Fn(&Path) -> bool) {
        self.is_due = false;
        for path in differing(&self.began, &now).filter(|path| was_known(path)) {
            let builds = self.meanwhile.entry(path.clone()).or_default();
            *builds = builds.saturating_add(1);
            self.is_due |= !has_command || (*builds <= MAX_ECHOES && self.echoes < MAX_ECHOES);
        }
        self.ended = now;
    }

    /// Whether to build again for what changed during the last build; no event may tell of it any more.
    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }
}

/// The files that are in one and not the other, or not alike.
fn differing<'c>(before: &'c Contents, after: &'c Contents) -> impl Iterator<Item = &'c PathBuf> {
    let gone = before.keys().filter(move |path| !after.contains_key(*path));
    let other = after.iter().filter(move |(path, content)| before.get(*path) != Some(*content));
    gone.chain(other.map(|(path, _)| path))
}

#[cfg(test)]
mod tests {
    use super::super::contents::Content;
    use super::*;

    /// Files by name, each with its length.
    fn contents(files: &[(&str, u64)]) -> Contents {
        let content = |bytes| Content::Long { bytes, modified: None };
        files.iter().map(|(path, bytes)| (PathBuf::from(path), content(*bytes))).collect()
    }

    fn built_from(files: &[(&str, u64)]) -> Baseline {
        let mut baseline = Baseline::default();
        baseline.built(contents(files), true, |_| false);
        assert!(!baseline.is_due(), "how the files were when the first build began is not known");
        baseline
    }

    #[test]
    fn only_other_contents_begin_a_build() {
        let mut baseline = built_from(&[("a", 1), ("b", 1)]);
        assert!(!baseline.look(contents(&[("a", 1), ("b", 1)])));
        for now in [[("a", 1), ("b", 2)].as_slice(), &[("a", 1)], &[("a", 1), ("b", 1), ("c", 1)]] {
            assert!(baseline.look(contents(now)), "{now:?}");
            baseline.built(contents(now), false, |_| true);
            assert!(!baseline.look(contents(now)), "{now:?}");
        }
    }

    #[test]
    fn a_save_during_a_build_is_built_too() {
        let mut baseline = built_from(&[("a", 1)]);
        for save in 2..10 {
            assert!(baseline.look(contents(&[("a", save)])), "{save}");
            baseline.built(contents(&[("a", save + 1)]), false, |_| true);
            assert!(baseline.is_due());
        }
        assert!(baseline.look(contents(&[("a", 10)])));
        baseline.built(contents(&[("a", 10)]), false, |_| true);
        assert!(!baseline.is_due() && !baseline.look(contents(&[("a", 10)])));
    }

    #[test]
    fn a_command_that_writes_something_else_each_time_does_not_build_for_ever() {
        let mut baseline = built_from(&[("src", 1), ("made", 1)]);
        let mut made = 1;
        let mut builds = Vec::new();
        for save in 2..5 {
            let mut count = 0;
            while baseline.look(contents(&[("src", save), ("made", made)])) {
                (made, count) = (made + 1, count + 1);
                baseline.built(contents(&[("src", save), ("made", made)]), true, |_| true);
            }
            builds.push(count);
        }
        assert_eq!(builds, [3, 1, 1], "it is learnt once whose the file is");
        assert!(baseline.look(contents(&[("src", 4), ("made", 0)])), "outside a build a change of it counts");
    }

    #[test]
    fn a_command_that_writes_under_new_names_does_not_build_for_ever() {
        let mut baseline = built_from(&[("src", 1)]);
        let mut files = vec![("src", 2)];
        let mut builds = 0;
        while baseline.look(contents(&files)) {
            builds += 1;
            files.push((["a", "b", "c", "d", "e"][builds - 1], 1));
            baseline.built(contents(&files), true, |_| true);
        }
        assert_eq!(builds, 3);
    }

    #[test]
    fn a_file_that_was_not_known_when_the_build_began_is_taken_as_it_is() {
        let mut baseline = built_from(&[("a", 1)]);
        assert!(baseline.look(contents(&[("a", 2)])));
        baseline.built(contents(&[("a", 2), ("new", 1)]), false, |path| path == Path::new("a"));
        assert!(!baseline.is_due() && !baseline.look(contents(&[("a", 2), ("new", 1)])));
    }
}
