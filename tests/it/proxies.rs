//! Neighbours that are dialled through a proxy, SOCKS5 or HTTP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::harness::Server;
use crate::neighbours::{id, neighbour, pair, state, until};

const SECRET: &str = "geheim:1@2";

/// What a proxy was asked, and what it may answer.
#[derive(Default)]
struct State {
    targets: Vec<String>,
    refuses: bool,
    connections: Vec<TcpStream>,
}

/// A proxy on a port of its own; it lives as long as the test program.
struct Proxy {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    fn start(serve: fn(&mut TcpStream, &Mutex<State>) -> Option<TcpStream>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, shared) = (client.unwrap(), shared.clone());
                std::thread::spawn(move || {
                    let Some(target) = serve(&mut client, &shared) else { return };
                    let own = [client.try_clone().unwrap(), target.try_clone().unwrap()];
                    shared.lock().unwrap().connections.extend(own);
                    let (from, to) = (client.try_clone().unwrap(), target.try_clone().unwrap());
                    std::thread::spawn(move || copy(from, to));
                    copy(target, client);
                });
            }
        });
        Self { address, state }
    }

    /// Breaks every connection, and refuses others.
    fn refuse(&self) {
        let mut state = self.state.lock().unwrap();
        state.refuses = true;
        for connection in state.connections.drain(..) {
            let _: Result<_, _> = connection.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _: Result<_, _> = std::io::copy(&mut from, &mut to);
    let _: Result<_, _> = to.shutdown(Shutdown::Both);
}

fn exactly<const N: usize>(client: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

fn counted(client: &mut TcpStream) -> String {
    let [length] = exactly(client);
    let mut bytes = vec![0; length.into()];
    client.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// RFC 1928 with the password of RFC 1929.
fn socks5(client: &mut TcpStream, state: &Mutex<State>) -> Option<TcpStream> {
    let [version, methods] = exactly(client);
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).unwrap();
    assert!(version == 5 && offered.contains(&2), "no password is offered");
    client.write_all(&[5, 2]).unwrap();
    assert_eq!(exactly(client), [1]);
    let right = (counted(client), counted(client)) == ("school".into(), SECRET.into());
    client.write_all(&[1, u8::from(!right)]).unwrap();
    if !right {
        return None;
    }
    let [_, command, _, kind] = exactly(client);
    let host = match kind {
        1 => std::net::Ipv4Addr::from(exactly::<4>(client)).to_string(),
        3 => counted(client),
        _ => panic!("an address of kind {kind}"),
    };
    let target = format!("{host}:{}", u16::from_be_bytes(exactly(client)));
    assert_eq!(command, 1);
    let mut state = state.lock().unwrap();
    state.targets.push(target.clone());
    // 2: not allowed by the rules.
    let code = if state.refuses { 2 } else { 0 };
    client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    (code == 0).then(|| TcpStream::connect(target).unwrap())
}

/// RFC 9110.
fn connect(client: &mut TcpStream, state: &Mutex<State>) -> Option<TcpStream> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let [byte] = exactly(client);
        head.push(byte.into());
    }
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    let mut state = state.lock().unwrap();
    state.targets.push(target.clone());
    // "school:geheim:1@2" in Base64.
    let is_known = head.to_lowercase().contains("proxy-authorization: basic ")
        && head.contains("c2Nob29sOmdlaGVpbToxQDI=");
    let status = match (state.refuses, is_known) {
        (true, _) => "403 Forbidden",
        (_, false) => "407 Proxy Authentication Required",
        _ => "200 Connection established",
    };
    client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
    status.starts_with("200").then(|| TcpStream::connect(target).unwrap())
}

fn dials_through(scheme: &str, proxy: &Proxy) {
    let school = Server::start();
    let setting = format!("{scheme}://school:{SECRET}@{}", proxy.address);
    let town = Server::start_with(&format!("[neighbours]\nproxy = '{setting}'\nannounce = false\n"));
    pair(&school, &town);
    assert_eq!(proxy.state.lock().unwrap().targets, [school.address.as_str()]);
    proxy.refuse();
    let why = || neighbour(&town, &["list"])[0]["why"]["detail"].as_str().unwrap_or_default().to_owned();
    let named = format!("{scheme}://{}", proxy.address);
    until("the proxy is named", || why().contains(&named));
    assert!(!why().contains("geheim"), "{}", why());
    assert_eq!(state(&town, &id(&school)), "unreachable");
    assert!(!town.log().contains("geheim"), "{}", town.log());
}

#[test]
fn a_neighbour_is_dialled_through_socks5() {
    dials_through("socks5", &Proxy::start(socks5));
}

#[test]
fn a_neighbour_is_dialled_through_http() {
    dials_through("http", &Proxy::start(connect));
}
