//! Pure. An acknowledged deploy is never lost, and no deploy comes from nowhere.
//!
//! **Owns** the comparison of what deployers were told with what nodes serve at the end. **Must not know** how they were
//! asked. **Enter at** [`broken`].

use crate::history::{Final, History};

pub(super) fn broken(history: &History) -> Vec<String> {
    history.finals.iter().flat_map(|last| of_node(history, last)).collect()
}

/// A lane repeats a number until it is acknowledged, so only the number after the last acknowledged one may be there, too.
fn of_node<'a>(history: &'a History, last: &'a Final) -> impl Iterator<Item = String> + 'a {
    last.serves.iter().enumerate().filter_map(|(lane, served)| {
        let (acknowledged, asked) = history.numbers(lane);
        let node = &last.node;
        match served {
            Ok(number) if (acknowledged..=asked).contains(number) => None,
            Ok(number) => Some(format!(
                "{node} serves deploy {number} of lane {lane}, but {acknowledged} was acknowledged and {asked} asked for"
            )),
            Err(reason) if acknowledged > 0 => {
                Some(format!("{node} serves nothing of lane {lane}, of which {acknowledged} was acknowledged: {reason}"))
            }
            Err(_) => None,
        }
    })
}
