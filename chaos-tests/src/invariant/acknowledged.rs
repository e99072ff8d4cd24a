//! Pure. An acknowledged deploy is never lost, and no deploy comes from nowhere or happens twice.
//!
//! **Owns** the comparison of what deployers were told with what nodes serve and list at the end. **Must not know** how they
//! were asked. **Enter at** [`broken`].

use crate::{
    api::DEPLOYMENTS_KEPT,
    history::{Final, History},
};

pub(super) fn broken(history: &History) -> Vec<String> {
    history.finals.iter().flat_map(|last| served(history, last).chain(listed(history, last))).collect()
}

/// A lane repeats a number until it is acknowledged, so only the number after the last acknowledged one may be there, too.
fn served<'a>(history: &'a History, last: &'a Final) -> impl Iterator<Item = String> + 'a {
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

/// A deploy that was lost and followed by others is not served, but it is not listed either.
fn listed<'a>(history: &'a History, last: &'a Final) -> impl Iterator<Item = String> + 'a {
    last.deployed.iter().enumerate().filter_map(|(lane, listed)| {
        let (acknowledged, asked) = history.numbers(lane);
        let node = &last.node;
        let numbers = match listed {
            Ok(numbers) => numbers,
            Err(reason) if acknowledged > 0 => {
                return Some(format!("{node} lists no deploys of lane {lane}: {reason}"));
            }
            Err(_) => return None,
        };
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] <= pair[1]) {
            return Some(format!("{node} lists deploy {} of lane {lane} after {}", pair[0], pair[1]));
        }
        // Older ones are kept no more.
        let oldest = if numbers.len() < DEPLOYMENTS_KEPT { 1 } else { *numbers.last()? };
        let lost = (oldest..=acknowledged).find(|number| !numbers.contains(number));
        let invented = numbers.iter().find(|number| !(1..=asked).contains(*number));
        lost.map(|number| format!("{node} has lost deploy {number} of lane {lane}, up to {acknowledged} acknowledged"))
            .or_else(|| {
                invented.map(|number| format!("{node} lists deploy {number} of lane {lane}, asked up to {asked}"))
            })
    })
}
