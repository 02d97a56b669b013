//! The WebSocket: live delivery, flow control, catching up, and what it refuses.

use std::time::{Duration, Instant};

use momedo_client_native::stream::Stream;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::stream::{ClientFrame, ServerFrame};

use crate::door::read_to_end;
use crate::harness::{PATIENCE, Person, Server, request};
use crate::raw::mute_stream;

async fn open(server: &Server, person: &Person, after: Option<Cursor>, window: usize) -> Stream {
    Stream::open(&server.server_address(), person.session.token(), after, window).await.unwrap()
}

/// The next frame that is not about presence.
async fn next(stream: &mut Stream) -> ServerFrame {
    loop {
        let frame = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
        match frame.expect("the stream is open") {
            ServerFrame::Presence { .. } => {}
            frame => return frame,
        }
    }
}

async fn delivery(stream: &mut Stream) -> Cursor {
    match next(stream).await {
        ServerFrame::Deliver { cursor, .. } => cursor,
        other => panic!("a delivery was expected: {other:?}"),
    }
}

#[tokio::test]
async fn what_one_sends_the_other_gets_live() {
    let server = Server::start();
    let (ada, ben) = (server.register(0).await, server.register(1).await);
    let mut from = open(&server, &ada, None, 8).await;
    let mut to = open(&server, &ben, None, 8).await;
    let sent = request(&ben.bundle, 512);
    from.feed(&ClientFrame::Send(sent.clone())).await.unwrap();
    from.flush().await.unwrap();
    assert!(matches!(next(&mut from).await, ServerFrame::Accepted { id, .. } if id == sent.id));
    match next(&mut to).await {
        ServerFrame::Deliver { id, from, envelope, .. } => {
            assert_eq!((id, from, envelope), (sent.id, ada.id(), sent.envelope));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_window_holds_mail_back_until_it_is_acknowledged_and_nothing_is_skipped() {
    let server = Server::start();
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let mut stream = open(&server, &ben, None, 3).await;
    // More than the window, more than the inbox in memory, some before and some after the first read.
    for _ in 0..100 {
        ada.submit(&ben.bundle, 512).await.unwrap();
    }
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(delivery(&mut stream).await);
    }
    // The window is full: whatever comes next comes only after an acknowledgement.
    let early = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
    assert!(early.is_err(), "{early:?}");
    while got.len() < 100 {
        let cursor = *got.last().unwrap();
        stream.feed(&ClientFrame::Ack { cursor }).await.unwrap();
        stream.flush().await.unwrap();
        for _ in 0..3.min(100 - got.len()) {
            got.push(delivery(&mut stream).await);
        }
    }
    let sequences: Vec<u64> = got.iter().map(|cursor| cursor.sequence).collect();
    assert_eq!(sequences, (1..=100).collect::<Vec<u64>>());
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_what_was_does_not() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    for _ in 0..4 {
        ada.submit(&ben.bundle, 512).await.unwrap();
    }
    let mut stream = open(&server, &ben, None, 8).await;
    let mut last = delivery(&mut stream).await;
    for _ in 0..3 {
        last = delivery(&mut stream).await;
    }
    let beyond = Cursor { sequence: 99, ..last };
    stream.feed(&ClientFrame::Ack { cursor: beyond }).await.unwrap();
    stream.flush().await.unwrap();
    match next(&mut stream).await {
        ServerFrame::Problem { problem } => assert_eq!(problem.name(), "not-handed-out"),
        other => panic!("{other:?}"),
    }
    let second = Cursor { sequence: 2, ..last };
    stream.feed(&ClientFrame::Ack { cursor: second }).await.unwrap();
    stream.flush().await.unwrap();
    // Leaving at once takes nothing back.
    drop(stream);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while ben.waiting().await.messages.len() != 2 {
        assert!(tokio::time::Instant::now() < deadline, "the acknowledgement had no effect");
    }
    let mut stream = open(&server, &ben, None, 8).await;
    assert_eq!(delivery(&mut stream).await.sequence, 3);
    assert_eq!(delivery(&mut stream).await.sequence, 4);
}

#[tokio::test]
async fn refusals_name_the_message_and_nonsense_does_not_end_the_stream() {
    let server = Server::start();
    let ada = server.register(0).await;
    let mut stream = open(&server, &ada, None, 8).await;
    let mut stale = request(&ada.bundle, 512);
    stale.to = momedo_protocol::id::ParticipantId::random();
    stream.feed(&ClientFrame::Send(stale.clone())).await.unwrap();
    stream.flush().await.unwrap();
    match next(&mut stream).await {
        ServerFrame::Refused { id, problem, .. } => {
            assert_eq!((id, problem.name()), (stale.id, "unknown-participant"));
        }
        other => panic!("{other:?}"),
    }
    for nonsense in ["", "{}", "[1]", r#"{"type":"fly"}"#, "\u{0}"] {
        stream.feed_text(nonsense.into()).await.unwrap();
        stream.flush().await.unwrap();
        match next(&mut stream).await {
            ServerFrame::Problem { problem } => assert_eq!(problem.name(), "malformed", "{nonsense:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn own_devices_see_each_other_come_and_go() {
    let server = Server::start();
    let ada = server.register(0).await;
    let mut first = open(&server, &ada, None, 8).await;
    let presence = |frame| match frame {
        Ok(Some(ServerFrame::Presence { devices })) => devices,
        other => panic!("{other:?}"),
    };
    let devices = presence(first.next().await);
    assert!(devices.len() == 1 && devices[0].online);
    // A second connection of the same participant is news to the first.
    let second = open(&server, &ada, None, 8).await;
    presence(first.next().await);
    drop(second);
    presence(tokio::time::timeout(PATIENCE, first.next()).await.unwrap());
}

#[tokio::test]
async fn a_stopping_server_says_goodbye_to_streams_and_is_gone_in_time() {
    let mut server = Server::start();
    let ada = server.register(0).await;
    let mut stream = open(&server, &ada, None, 8).await;
    assert!(matches!(stream.next().await.unwrap(), Some(ServerFrame::Presence { .. })));
    let (ended, time) = server.terminate();
    assert_eq!(ended.code(), Some(0));
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert!(stream.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_let_go_and_one_that_does_stays() {
    let server = Server::start_with("[listen]\nkeep_alive_seconds = 1\n");
    let (ada, ben) = (server.register(0).await, server.register(1).await);
    let mut there = open(&server, &ada, None, 8).await;
    let mut gone = mute_stream(&server, ben.session.token());
    let start = Instant::now();
    let mut reading = tokio::task::spawn_blocking(move || read_to_end(&mut gone));
    let ended = async {
        loop {
            tokio::select! {
                said = &mut reading => break said.unwrap(),
                // Answers pings by itself as long as it is read.
                frame = there.next() => assert!(frame.unwrap().is_some(), "the stream that answers was closed"),
            }
        }
    };
    let said = tokio::time::timeout(PATIENCE, ended).await.expect("the mute stream stays open");
    assert!(said.starts_with("HTTP/1.1 101"), "{said}");
    // Two pings were given a second each to be answered.
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
    there.feed(&ClientFrame::Send(request(&ben.bundle, 512))).await.unwrap();
    there.flush().await.unwrap();
    assert!(matches!(next(&mut there).await, ServerFrame::Accepted { .. }));
}
