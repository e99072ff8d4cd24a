//! Keeps dispatch and TLS up to date with the catalog.
//!
//! **Owns** the order: certificates first, so that a host that is routed can be reached; code before the versions that need it.
//! **Must not know** what either does. **Enter at** [`start`].
//!
//! A revision is shown at once but for the environments whose new code is not here in time: those go on serving what they
//! served. It is acknowledged once all of them have gone over, and refused as soon as one can not.

mod awaited;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{Router, extract::Request, middleware::Next, response::Response};
use http::Method;
use skerry_control::{catalog::Catalog, control::Control};
use skerry_proto::id::Revision;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::awaited::Awaited;
use crate::{dispatch::Dispatch, ingress::Certificates};

/// BOUND: how long an answer of the API waits for this node to serve what was changed. It is milliseconds unless code has to
/// come from afar; the change itself is durable either way.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// BOUND: how long a revision waits for its code. Too low shows routes before the versions that were deployed with them, too high
/// holds up what has nothing to do with that code.
const CODE_TIMEOUT: Duration = Duration::from_millis(500);

/// Which revision this node shows, and which it knows.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    shown: watch::Receiver<Revision>,
    known: watch::Receiver<Arc<Catalog>>,
}

struct Follow {
    control: Control,
    dispatch: Dispatch,
    certificates: Arc<Certificates>,
    awaited: Awaited,
    revision: Revision,
    /// The refusal that the cluster has heard of.
    refused: Option<(Revision, String)>,
    shown: watch::Sender<Revision>,
}

/// Shows the newest catalog now, and each later one in the future that it returns, until that is told to stop.
pub(super) async fn start(
    control: &Control,
    dispatch: &Dispatch,
    certificates: &Arc<Certificates>,
    stopping: CancellationToken,
) -> (Shown, impl Future<Output = ()> + Send + use<>) {
    let mut known = control.watch();
    let first = Arc::clone(&known.borrow_and_update());
    let (shown, receiver) = watch::channel(first.revision());
    let handle = Shown { shown: receiver, known: known.clone() };
    let mut follow = Follow {
        control: control.clone(),
        dispatch: dispatch.clone(),
        certificates: Arc::clone(certificates),
        awaited: Awaited::new(dispatch.clone()),
        revision: first.revision(),
        refused: None,
        shown,
    };
    // Nothing was served before, so nothing is gained by waiting.
    follow.show(&first, Duration::ZERO).await;
    let run = async move {
        loop {
            follow.report();
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = known.changed() => if changed.is_err() { return },
                _tried = follow.awaited.next() => {
                    follow.go_over();
                    continue;
                }
            }
            let catalog = Arc::clone(&known.borrow_and_update());
            follow.show(&catalog, CODE_TIMEOUT).await;
        }
    };
    (handle, run)
}

impl Follow {
    async fn show(&mut self, catalog: &Arc<Catalog>, patience: Duration) {
        self.certificates.show(catalog);
        let next = self.dispatch.next(catalog);
        self.awaited.want(next.unready());
        // Whoever is late goes over later.
        let _ = tokio::time::timeout(patience, self.awaited.tried(next.unready())).await;
        self.dispatch.show(next);
        self.awaited.retain_newest();
        self.revision = catalog.revision();
        self.go_over();
    }

    /// Lets the environments go over to new code whose code has come.
    fn go_over(&mut self) {
        for site in self.awaited.take_ready() {
            self.dispatch.go_over(&site);
        }
    }

    /// Tells the cluster that this node serves a revision, or why it does not. It says nothing while code is on its way.
    fn report(&mut self) {
        match self.awaited.refusal() {
            None if self.awaited.is_empty() => {
                self.refused = None;
                self.control.shown(self.revision);
            }
            None => return,
            Some(reason) => {
                let refused = (self.revision, reason.to_owned());
                if self.refused.as_ref() != Some(&refused) {
                    self.control.refused(refused.0, &refused.1);
                    self.refused = Some(refused);
                }
            }
        }
        self.shown.send_replace(self.revision);
    }
}

impl Shown {
    /// The API, whose answers to changes wait until this node serves them: whoever deploys and then asks, gets the new code.
    pub(super) fn settle(self, router: Router) -> Router {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let shown = self.clone();
            async move { shown.answer(request, next).await }
        }))
    }

    async fn answer(mut self, request: Request, next: Next) -> Response {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let response = next.run(request).await;
        if !reads {
            let revision = self.known.borrow().revision();
            let settled = self.shown.wait_for(|shown| *shown >= revision);
            if tokio::time::timeout(SETTLE_TIMEOUT, settled).await.is_err() {
                tracing::warn!(%revision, "this node does not serve a change yet");
            }
        }
        response
    }
}
