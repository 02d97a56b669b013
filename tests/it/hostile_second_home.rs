//! What a server gets that says it is somebody's home beside another: nothing that the participant did not sign for.

use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::link::calls::{Refusal, Request, Response};
use momedo_protocol::link::documents::{BatchHeader, Outcome};
use momedo_protocol::link::second_home::Placement;
use momedo_protocol::link::{Batch, Frame, Standing};

use crate::harness::{Server, device_keys, rsa_key};
use crate::hostile::Hostile;
use crate::neighbours::{failure, neighbour, pair};

/// What this neighbour would say of `id` as its first home; the keys are its own.
fn placement(hostile: &Hostile, id: ParticipantId, like: &KeyBundle, homes: Vec<Fingerprint>) -> Placement {
    let keys = hostile.claim(id, like, homes);
    let entry = device_keys(3).entry("made up");
    let device = entry.id();
    let list = DeviceListPayload { id, version: 1, issued_at: momedo_client::now(), devices: vec![entry] };
    Placement {
        id,
        active: true,
        role: "member".into(),
        changes: Vec::new(),
        bundle: keys.bundle,
        countersignature: keys.countersignature,
        device_list: list.sign(&rsa_key(1)),
        devices: vec![device],
        blocks: Vec::new(),
    }
}

async fn place(hostile: &mut Hostile, placement: Placement) -> Response {
    let call = hostile.call(&Request::StandIn { placement: Box::new(placement) });
    hostile.answer(call).await.expect("an answer")
}

fn refused(response: &Response, with: &str) -> bool {
    matches!(response, Response::Refused(refusal) if format!("{refusal:?}").starts_with(with))
}

/// The batch again, with every envelope said to be a copy.
fn as_copies(hostile: &Hostile, batch: Batch) -> Batch {
    let header = batch.signed_header().unwrap();
    let mut header = BatchHeader::verify(&header, hostile.identity.public()).unwrap();
    header.items.iter_mut().for_each(|item| item.copy = true);
    Batch { header: serde_json::to_vec(&header.sign(&hostile.identity)).unwrap(), ..batch }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_becomes_somebodys_home_without_their_signature() {
    let server = Server::start();
    let other = Server::start();
    let ada = server.register(0).await;
    let zoe = other.register(2).await;
    pair(&server, &other);
    for one in [&server, &other] {
        neighbour(one, &["allow", "--all"]);
    }
    let mut hostile = Hostile::paired(&server).await;
    let (own, us) = (hostile.id(), hostile.server);
    let both = || vec![own, us];
    let stranger = ParticipantId::random();
    // Neighbours are not second homes because they may exchange mail.
    let made_up = placement(&hostile, stranger, &ada.bundle, both());
    let answer = place(&mut hostile, made_up).await;
    assert!(refused(&answer, "NotAllowedAcross"), "{answer:?}");
    neighbour(&server, &["allow", &own.to_string(), "--second-home", "true"]);
    // Not this server's own people, nor those of other servers, known or not.
    for id in [ada.id(), zoe.id()] {
        let made_up = placement(&hostile, id, &ada.bundle, both());
        let answer = place(&mut hostile, made_up).await;
        assert!(refused(&answer, "NotAllowedAcross"), "{answer:?}");
    }
    // Nobody who did not name both servers; nobody whose list somebody else signed.
    for homes in [vec![own], vec![own, Fingerprint([7; 32])], vec![own, us, Fingerprint([7; 32])]] {
        let made_up = placement(&hostile, stranger, &ada.bundle, homes);
        let answer = place(&mut hostile, made_up).await;
        assert!(refused(&answer, "Malformed"), "{answer:?}");
    }
    let good = placement(&hostile, stranger, &ada.bundle, both());
    let list = DeviceListPayload::verify(&good.device_list, rsa_key(1).public()).unwrap();
    let forged = Placement { device_list: list.sign(&rsa_key(2)), ..good.clone() };
    assert!(refused(&place(&mut hostile, forged).await, "Malformed"));
    // A copy vouches for nobody unless the recipient lives at both.
    let copy = |hostile: &Hostile, to: &KeyBundle| {
        let message = hostile.message(zoe.id(), to);
        as_copies(hostile, hostile.batch(us, vec![message]))
    };
    let batch = copy(&hostile, &ada.bundle);
    assert_eq!(hostile.outcomes(batch).await, [Outcome::UnknownParticipant]);
    // Whoever wants it has it, and then what the first home took is taken.
    let answer = place(&mut hostile, good.clone()).await;
    assert!(matches!(answer, Response::Done), "{answer:?}");
    let mut bundle = ada.bundle.clone();
    bundle.payload.id = stranger;
    let batch = copy(&hostile, &bundle);
    assert_eq!(hostile.outcomes(batch).await, [Outcome::Delivered]);
    // Older keys are not taken again, and only the first home ends it.
    let ends = hostile.call(&Request::StandInEnds { id: ada.id(), erased: true });
    assert!(matches!(hostile.answer(ends).await, Some(Response::Done)));
    assert_eq!(server.status()["participants"], 2, "Ada, and the stranger");
    let ends = hostile.call(&Request::StandInEnds { id: stranger, erased: false });
    assert!(matches!(hostile.answer(ends).await, Some(Response::Done)));
    assert_eq!(server.status()["participants"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_home_does_not_make_itself_the_first() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let mut hostile = Hostile::paired(&server).await;
    let own = hostile.id().to_string();
    neighbour(&server, &["allow", &own, "--second-home", "true"]);
    // Ada signs for it by hand; a client would have been offered it.
    let mut session = ada.log_in("en").await.unwrap();
    let home = momedo_protocol::api::homes::Home {
        server: hostile.id(),
        name: "Hostile".into(),
        addresses: vec!["127.0.0.1:1".into()],
    };
    ada.set("second-home", &home).unwrap();
    momedo_client::rotation::rotate(&ada, &mut session, &|_| {}).await.unwrap();
    let asked = loop {
        if let Some(Frame::Call(call)) = hostile.next().await {
            break call;
        }
    };
    let request: Request = serde_json::from_slice(&asked.signed.body).unwrap();
    let Request::StandIn { placement } = request else { panic!("{request:?}") };
    assert_eq!(placement.id, ada.id().unwrap());
    // It says that it is the first, in both ways there are.
    let reply = hostile.reply(&asked, &Response::Refused(Refusal::FirstHomeHere));
    hostile.send(&Frame::Reply(Box::new(reply))).await;
    assert!(refused(&place(&mut hostile, *placement).await, "FirstHomeHere"));
    crate::neighbours::until("an admin is told", || neighbour(&server, &["list"])[0]["says_first"] == true);
    // Nothing follows from that: Ada goes on changing her keys here, and others get the new ones.
    momedo_client::rotation::rotate(&ada, &mut session, &|_| {}).await.unwrap();
    assert!(session.homes().await.unwrap().is_first);
    hostile.send(&Frame::Standing(Standing::Confirmed)).await;
    // Only when an admin believes it.
    assert_eq!(neighbour(&server, &["accept-take-over", &own])[0]["participants"], 1);
    assert!(!session.homes().await.unwrap().is_first);
    assert!(failure(&server, &["accept-take-over", &own]).contains("does not say"));
}

/// Whoever has it refuse one participant must not keep it from hearing of the others' keys and revoked devices.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_keeps_no_other_from_being_told() {
    let server = Server::start();
    let mut people = vec![server.register_profile(0, "ada").await, server.register_profile(1, "ben").await];
    // They are told in the order of their numbers.
    people.sort_by_key(|profile| profile.id().unwrap().number());
    let mut hostile = Hostile::paired(&server).await;
    neighbour(&server, &["allow", &hostile.id().to_string(), "--second-home", "true"]);
    let refused = people[0].id().unwrap();
    let mut told = Vec::new();
    for profile in &people {
        let mut session = profile.log_in("en").await.unwrap();
        let home = momedo_protocol::api::homes::Home {
            server: hostile.id(),
            name: "Hostile".into(),
            addresses: vec!["127.0.0.1:1".into()],
        };
        profile.set("second-home", &home).unwrap();
        momedo_client::rotation::rotate(profile, &mut session, &|_| {}).await.unwrap();
        while told.last() != profile.id().ok().as_ref() {
            let Some(Frame::Call(call)) = hostile.next().await else { continue };
            let request: Request = serde_json::from_slice(&call.signed.body).unwrap();
            let Request::StandIn { placement } = request else { panic!("{request:?}") };
            let is_refused = placement.id == refused;
            let answer =
                if is_refused { Response::Refused(Refusal::NotAllowedAcross) } else { Response::Done };
            let reply = hostile.reply(&call, &answer);
            hostile.send(&Frame::Reply(Box::new(reply))).await;
            told.push(placement.id);
            assert!(told.len() < 20, "the refused one is asked for again and again: {told:?}");
        }
    }
    assert_eq!(told[0], refused);
}
