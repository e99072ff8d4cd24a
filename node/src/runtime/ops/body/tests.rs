use std::convert::Infallible;

use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::runtime::frame::Writer;

fn arguments(id: i32) -> Vec<u8> {
    let mut frame = Writer::new();
    frame.int(id).bytes(b"piece");
    frame.into_bytes()
}

fn write(bodies: &mut Bodies, id: i32) -> Begun {
    bodies.write(&mut Reader::new(&arguments(id)), None).unwrap()
}

fn read(bodies: &mut Bodies, id: i32) -> Begun {
    bodies.read(1, &mut Reader::new(&arguments(id))).unwrap()
}

/// A body of so many pieces, all of which have arrived.
fn body(pieces: usize) -> Incoming {
    let frames = (0..pieces).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"piece"))));
    let body = StreamBody::new(futures_util::stream::iter(frames)).map_err(|never| match never {});
    Incoming::new(body.boxed_unsync(), Bytes::new())
}

/// What a read that was done at once has brought; the body is back in the table.
fn taken(bodies: &mut Bodies, begun: Begun) -> Result<Option<Bytes>, BodyError> {
    let Begun::AtOnce(Done::Chunk { id, incoming, chunk }) = begun else { panic!("it is not done") };
    bodies.restore(id, incoming, !matches!(chunk, Ok(Some(_))));
    chunk
}

#[test]
fn a_turn_writes_a_bounded_number_of_pieces_at_once() {
    let mut bodies = Bodies::default();
    let mut open = || bodies.create(1, None, Arc::new(Semaphore::new(limits::BODY_BYTES_MAX)));
    let pipes = [open(), open(), open()];
    for at in 0..limits::PIECES_AT_ONCE_MAX as usize {
        let begun = write(&mut bodies, pipes[at / limits::BODY_CHUNKS_MAX]);
        assert!(matches!(begun, Begun::AtOnce(Done::Taken)), "piece {at}");
    }
    assert!(matches!(write(&mut bodies, pipes[0]), Begun::Wait(_)), "a full pipe is full");
    let Begun::Operation(done) = write(&mut bodies, pipes[2]) else { panic!("the next turn is waited for") };
    assert!(matches!(done.now_or_never(), Some(Done::Taken)), "it was taken all the same");
    bodies.begin_turn();
    assert!(matches!(write(&mut bodies, pipes[2]), Begun::AtOnce(Done::Taken)));
}

#[test]
fn a_turn_reads_a_bounded_number_of_pieces_at_once_and_the_end_too() {
    let mut bodies = Bodies::default();
    let pieces = limits::PIECES_AT_ONCE_MAX as usize + 1;
    let id = bodies.insert_incoming(1, body(pieces));
    for at in 1..pieces {
        let begun = read(&mut bodies, id);
        assert_eq!(taken(&mut bodies, begun).unwrap().unwrap(), "piece", "piece {at}");
    }
    let Begun::Operation(work) = read(&mut bodies, id) else { panic!("the next turn is waited for") };
    let Some(Done::Chunk { incoming, chunk, .. }) = work.now_or_never() else { panic!("it is there") };
    assert_eq!(chunk.unwrap().unwrap(), "piece");
    bodies.restore(id, incoming, false);
    bodies.begin_turn();
    let begun = read(&mut bodies, id);
    assert!(taken(&mut bodies, begun).unwrap().is_none());
    assert!(bodies.read(1, &mut Reader::new(&arguments(id))).is_err(), "the body is over");
}

#[test]
fn a_body_that_breaks_says_so_at_once() {
    let mut bodies = Bodies::default();
    let broken = Incoming::broken(Bytes::from_static(b"piece"), BodyError::Aborted("on purpose".into()));
    let id = bodies.insert_incoming(1, broken);
    let begun = read(&mut bodies, id);
    assert_eq!(taken(&mut bodies, begun).unwrap().unwrap(), "piece");
    let begun = read(&mut bodies, id);
    assert!(taken(&mut bodies, begun).is_err());
}

#[tokio::test]
async fn a_piece_that_has_not_arrived_is_waited_for() {
    let mut bodies = Bodies::default();
    let (pipe, body) = pipe::pipe(None, Arc::new(Semaphore::new(limits::BODY_BYTES_MAX)));
    let id = bodies.insert_incoming(1, Incoming::new(body, Bytes::new()));
    let Begun::Operation(work) = read(&mut bodies, id) else { panic!("nothing is there yet") };
    let reading = crate::task::spawn("a read", work);
    tokio::task::yield_now().await;
    assert!(matches!(pipe.write(b"late", None), Begun::AtOnce(Done::Taken)));
    let Done::Chunk { chunk, .. } = reading.await.unwrap() else { panic!("a read brings a piece") };
    assert_eq!(chunk.unwrap().unwrap(), "late");
}

#[test]
fn a_pipe_whose_reader_has_gone_is_not_open() {
    let mut bodies = Bodies::default();
    let id = bodies.create(1, None, Arc::new(Semaphore::new(limits::BODY_BYTES_MAX)));
    assert!(bodies.is_open_pipe(id), "it waits for a reader");
    let (reader, _pipe) = bodies.take(Some(Value::Int(id)), None).unwrap();
    assert!(bodies.is_open_pipe(id));
    drop(reader);
    assert!(!bodies.is_open_pipe(id));
}
