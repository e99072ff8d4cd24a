//! Pure. Once everything is whole again, all nodes show the same.
//!
//! **Owns** the comparison of nodes with each other. **Must not know** what they should show. **Enter at** [`broken`].

use crate::history::{Final, History};

pub(super) fn broken(history: &History) -> Vec<String> {
    let Some((first, others)) = history.finals.split_first() else {
        return vec!["no node was looked at".to_owned()];
    };
    let differ = others.iter().filter(|other| (&other.serves, other.revision) != (&first.serves, first.revision));
    let differ = differ.map(|other| {
        let show = |last: &Final| format!("{} {:?} {:?}", last.node, last.revision, last.serves);
        format!("{} but {}", show(first), show(other))
    });
    let silent = history.finals.iter().filter(|last| last.revision.is_none());
    let silent = silent.map(|last| format!("{} does not say its revision", last.node));
    let refused = history.finals.iter().filter_map(|last| Some((&last.node, last.refused.as_ref()?)));
    let refused = refused.map(|(node, refused)| format!("{node} refuses {refused}"));
    differ.chain(silent).chain(refused).collect()
}
