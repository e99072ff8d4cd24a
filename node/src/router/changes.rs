//! Pure. What changed between two states of the catalog.
//!
//! **Owns** the comparison of services. **Must not know** what is done about a change. **Enter at** [`changed_services`].

use std::{cmp::Ordering, sync::Arc};

use skerry_control::catalog::{Catalog, Service};

/// One service that is not what it was.
#[derive(Debug)]
pub(super) struct ServiceChange<'a> {
    pub(super) old: Option<&'a Arc<Service>>,
    pub(super) new: Option<&'a Arc<Service>>,
}

/// Every service that differs. Services that a command did not touch are the same allocation, so ten thousand of them cost
/// ten thousand comparisons of pointers. When the cluster or an account changed, so may every hostname: then all differ.
pub(super) fn changed_services<'a>(old: &'a Catalog, new: &'a Catalog) -> Vec<ServiceChange<'a>> {
    let same_names = old.cluster().map(Arc::as_ptr) == new.cluster().map(Arc::as_ptr)
        && old.accounts().map(Arc::as_ptr).eq(new.accounts().map(Arc::as_ptr));
    if same_names && old.same_services(new) {
        return Vec::new();
    }
    let (mut olds, mut news) = (old.all_services().peekable(), new.all_services().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.key.cmp(&new.key),
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        let unchanged = matches!((old, new), (Some(old), Some(new)) if Arc::ptr_eq(old, new));
        if !(same_names && unchanged) {
            changes.push(ServiceChange { old, new });
        }
    }
}
