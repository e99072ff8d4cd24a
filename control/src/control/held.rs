//! What a voter's data plane is shown.
//!
//! **Owns** that it is an older state after newer ones made this node crash twice, while raft goes on with all of them. **Must not
//! know** how that was noticed. **Enter at** [`plane`].

use std::sync::Arc;

use skerry_proto::id::Revision;
use tokio::sync::watch;

use crate::{
    catalog::Catalog,
    state::{Head, States},
    task,
};

/// The states for the data plane: the newest ones, or the one of `held` until there is a revision beyond its second part, which
/// is tried as a whole.
pub(super) fn plane(states: &States, held: Option<(Head, Revision)>) -> watch::Receiver<Arc<Catalog>> {
    let mut newest = states.watch();
    let Some((head, until)) = held else { return newest };
    let (show, shown) = watch::channel(head.catalog);
    let follow = async move {
        if newest.wait_for(|catalog| catalog.revision() > until).await.is_err() {
            return;
        }
        loop {
            show.send_replace(Arc::clone(&newest.borrow_and_update()));
            tokio::select! {
                () = show.closed() => return,
                changed = newest.changed() => if changed.is_err() { return },
            }
        }
    };
    // It ends with the states.
    let _ends = task::spawn("held states", follow);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Account, Actor, Change, Command},
        mint,
    };

    fn head(revision: u64) -> Head {
        let account = Account { id: mint::account_id(), name: "tenant".to_owned(), label: None, created_at_ms: 1 };
        let mut catalog = Catalog::default();
        let command = Command::new(Actor::node("test"), 1, vec![Change::CreateAccount(account)]);
        catalog.apply(Revision(revision), &command).unwrap();
        Head { catalog: Arc::new(catalog), ..Head::default() }
    }

    #[tokio::test]
    async fn what_made_the_node_crash_is_passed_over_and_what_comes_next_is_shown() {
        let states = States::new(head(5));
        let mut shown = plane(&states, Some((head(3), Revision(6))));
        states.replace(head(6));
        tokio::task::yield_now().await;
        assert_eq!(shown.borrow_and_update().revision(), Revision(3));
        states.replace(head(7));
        shown.changed().await.unwrap();
        assert_eq!(shown.borrow_and_update().revision(), Revision(7));
        states.replace(head(8));
        shown.changed().await.unwrap();
        assert_eq!(shown.borrow().revision(), Revision(8));
    }

    #[tokio::test]
    async fn without_a_crash_everything_is_shown() {
        let states = States::new(head(5));
        let shown = plane(&states, None);
        states.replace(head(6));
        assert_eq!(shown.borrow().revision(), Revision(6));
    }
}
