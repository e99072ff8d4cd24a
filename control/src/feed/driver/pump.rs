//! Moves frames between links and the driver.
//!
//! **Owns** encoding's other side: what comes from a peer is decoded here, and garbage ends the link. **Must not know**
//! what messages mean. **Enter at** [`subscriber`] and [`upstream`].

use std::sync::Arc;

use bytes::Bytes;
use skerry_proto::id::NodeId;
use tokio::sync::mpsc;

use super::{
    super::{
        follow::UpstreamId,
        limits::DIAL_MAX,
        link::{Dial, Link, LinkReceiver, LinkSender},
        message::{Down, MessageError, Up},
        publish::SubscriberId,
    },
    Event,
};

/// Runs a subscriber's link until either side ends it.
pub(in crate::feed) async fn subscriber(
    id: SubscriberId,
    link: Link,
    queue: mpsc::Receiver<Bytes>,
    events: &mpsc::Sender<Event>,
) {
    let Link { sender, receiver } = link;
    let received = |frame| Up::decode(frame).map(|message| Event::Asked(id, message));
    tokio::select! {
        () = send_all(sender, queue, Some((events, id))) => {}
        () = receive_all(receiver, events, received) => {}
    }
}

/// Dials an upstream and runs the link until either side ends it.
pub(super) async fn upstream(
    id: UpstreamId,
    to: NodeId,
    dial: Arc<dyn Dial>,
    queue: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<Event>,
) {
    match tokio::time::timeout(DIAL_MAX, dial.subscribe(to)).await {
        Ok(Ok(Link { sender, receiver })) => {
            if events.send(Event::Connected(id)).await.is_ok() {
                let received = |frame| Down::decode(frame).map(|message| Event::Received(id, message));
                tokio::select! {
                    () = send_all(sender, queue, None) => {}
                    () = receive_all(receiver, &events, received) => {}
                }
            }
        }
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::debug!(%to, error = %error, cause, "an upstream can not be subscribed to");
        }
        Err(_) => tracing::debug!(%to, "an upstream does not answer"),
    }
    // During a shutdown nobody needs to know.
    let _ = events.send(Event::UpstreamGone(id)).await;
}

async fn send_all(
    mut sender: Box<dyn LinkSender>,
    mut queue: mpsc::Receiver<Bytes>,
    counted: Option<(&mpsc::Sender<Event>, SubscriberId)>,
) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = sender.send(frame).await {
            return tracing::debug!(error = %error, "a feed link has ended");
        }
        if let Some((events, id)) = counted
            && events.send(Event::Sent(id)).await.is_err()
        {
            return;
        }
    }
}

async fn receive_all(
    mut receiver: Box<dyn LinkReceiver>,
    events: &mpsc::Sender<Event>,
    decode: impl Fn(Bytes) -> Result<Event, MessageError>,
) {
    loop {
        let event = match receiver.receive().await {
            Ok(Some(frame)) => decode(frame),
            Ok(None) => return,
            Err(error) => return tracing::debug!(error = %error, "a feed link has ended"),
        };
        match event {
            Ok(event) => {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            Err(error) => return tracing::warn!(error = %error, "a peer sent what is no message of the feed"),
        }
    }
}
