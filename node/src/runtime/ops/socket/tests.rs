use futures_util::FutureExt;

use super::*;

static LARGEST: [u8; limits::SOCKET_MESSAGE_BYTES_MAX] = [0; limits::SOCKET_MESSAGE_BYTES_MAX];

/// A socket that event 1 has opened, and its other side.
fn attach(sockets: &mut Sockets) -> (i32, Ends) {
    let (ours, theirs) = websocket::pair();
    (sockets.attach(ours, 1), theirs)
}

/// Whether one of the largest messages is taken, or ignored.
fn sends(sockets: &mut Sockets, id: i32) -> bool {
    sockets.push(id, SocketMessage::Binary(Bytes::from_static(&LARGEST))).is_ok()
}

/// The guest's own close.
fn close(sockets: &mut Sockets, id: i32) {
    let mut frame = Writer::new();
    frame.int(id).int(1000).undefined();
    sockets.close(&mut Reader::new(frame.as_bytes())).unwrap();
}

/// What has arrived at the other side, where something has; `Some(None)` is the end.
fn arrived(theirs: &mut Ends) -> Option<Option<SocketMessage>> {
    theirs.incoming.recv().now_or_never()
}

#[test]
fn a_socket_whose_queue_is_full_stays_until_its_end_arrives() {
    let mut sockets = Sockets::default();
    let (id, mut theirs) = attach(&mut sockets);
    assert!(sends(&mut sockets, id) && sends(&mut sockets, id) && !sends(&mut sockets, id));
    assert!(sends(&mut sockets, id), "what follows is ignored");
    for _ in 0..2 {
        assert!(matches!(arrived(&mut theirs), Some(Some(SocketMessage::Binary(_)))));
    }
    assert_eq!(arrived(&mut theirs), Some(None), "the other side sees the end");
    assert_eq!(sockets.owner(id), Some((1, Origin::Worker)), "the guest will hear of its end");
    sockets.ended(id);
    assert_eq!(sockets.owner(id), None);
}

#[test]
fn a_socket_that_both_sides_have_closed_is_forgotten() {
    let mut sockets = Sockets::default();
    let (first, mut theirs) = attach(&mut sockets);
    close(&mut sockets, first);
    close(&mut sockets, first);
    assert!(sockets.owner(first).is_some(), "only one side has closed");
    sockets.closed(first);
    assert_eq!(sockets.owner(first), None);
    assert!(matches!(arrived(&mut theirs), Some(Some(SocketMessage::Close { .. }))), "the close is not lost");
    let (second, _theirs) = attach(&mut sockets);
    sockets.closed(second);
    assert!(sockets.owner(second).is_some(), "only the other side has closed");
    close(&mut sockets, second);
    assert_eq!(sockets.owner(second), None);
}

#[test]
fn the_sockets_of_an_isolate_share_their_room() {
    let mut sockets = Sockets::default();
    let full = SOCKETS_BYTES_MAX / limits::SOCKET_QUEUE_BYTES_MAX - 1;
    let mut slow = Vec::new();
    for _ in 0..full {
        let (id, theirs) = attach(&mut sockets);
        assert!(sends(&mut sockets, id) && sends(&mut sockets, id));
        slow.push(theirs);
    }
    let early = sockets.create(1).unwrap();
    assert!(sends(&mut sockets, early), "there is room for one");
    assert!(!sends(&mut sockets, early), "the other queues and what a message takes beside its bytes leave none");
    drop(slow);
    let (id, _theirs) = attach(&mut sockets);
    assert!(sends(&mut sockets, id) && sends(&mut sockets, id));
}

#[test]
fn a_socket_past_the_bound_is_broken_from_the_start() {
    let mut sockets = Sockets::default();
    for _ in 0..limits::RESOURCES_MAX {
        sockets.create(1).unwrap();
    }
    assert!(sockets.create(1).is_err());
    let (id, mut theirs) = attach(&mut sockets);
    assert_eq!(arrived(&mut theirs), Some(None));
    assert!(sends(&mut sockets, id), "what is sent is ignored");
    sockets.end_request(1);
    assert!(sockets.create(1).is_ok());
}

#[test]
fn a_response_carries_a_socket_of_its_own_event_away_once() {
    let mut sockets = Sockets::default();
    let id = sockets.create(1).unwrap();
    assert!(sends(&mut sockets, id));
    assert!(sockets.accept(id, 2).is_err(), "it belongs to event 1");
    let mut theirs = sockets.accept(id, 1).unwrap().take().unwrap();
    assert!(matches!(arrived(&mut theirs), Some(Some(SocketMessage::Binary(_)))), "what was early goes first");
    assert!(sockets.accept(id, 1).is_err());
}

#[test]
fn a_socket_that_no_response_has_carried_away_goes_with_its_event() {
    let mut sockets = Sockets::default();
    let id = sockets.create(1).unwrap();
    assert!(sends(&mut sockets, id) && sockets.room.available_permits() < SOCKETS_BYTES_MAX);
    sockets.end_request(1);
    assert_eq!(sockets.owner(id), None);
    assert_eq!(sockets.room.available_permits(), SOCKETS_BYTES_MAX);
}
