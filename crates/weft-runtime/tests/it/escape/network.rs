//! The network: nothing by default, public addresses by the proxy, ports by name.

use super::PRELUDE;
use crate::support::{Machine, python, shell};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use weft_runtime::{Launch, Network};

fn outbound(script: &str, allow: &[&str]) -> Launch {
    let mut launch = python(&format!("{PRELUDE}\n{script}"));
    let allow = allow.iter().map(|host| (*host).to_owned()).collect();
    launch.network = Network::Outbound { allow };
    launch
}

/// Asks the proxy for a tunnel, and gives the status.
const ASK: &str = r#"
def ask(place):
    s = socket.create_connection(('127.0.0.1', 3128), 20)
    s.sendall(f'CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n'.encode())
    return s.recv(4096).split()[1].decode(), s
"#;

crate::escape::attempts! {
    only_a_loopback_is_there: "['lo']", "print([name for _, name in socket.if_nameindex()])";
    no_way_out: "ENETUNREACH\nENETUNREACH", r"
for place in ['1.1.1.1', '169.254.169.254']:
    attempt(lambda: socket.create_connection((place, 80), 5))";
    its_own_loopback_works: "hello", r"
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
client.sendall(b'hello')
print(server.accept()[0].recv(5).decode())";
    no_proxy_without_asking: "ECONNREFUSED",
        "attempt(lambda: socket.create_connection(('127.0.0.1', 3128), 5))";
    add_a_route_or_an_interface: "EPERM", r"
import fcntl
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt(lambda: fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0)))";
}

#[tokio::test]
async fn the_hosts_loopback_is_another() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script =
        format!("{PRELUDE}\nattempt(lambda: socket.create_connection(('127.0.0.1', {port}), 5))");
    let ran = Machine::new().run(&python(&script)).await;
    assert_eq!(ran.printed(), "ECONNREFUSED");
}

#[tokio::test]
async fn the_proxy_refuses_this_machine_in_every_spelling() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let places = [
        "127.0.0.1",
        "127.1.2.3",
        "localhost",
        "LOCALHOST",
        "a.localhost",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[::]",
    ];
    let script =
        format!("{ASK}\nfor place in {places:?}:\n    print(place, ask(f'{{place}}:{port}')[0])");
    let ran = Machine::new().run(&outbound(&script, &[])).await;
    let wanted: String = places.iter().map(|place| format!("{place} 403\n")).collect();
    assert_eq!(ran.printed(), wanted.trim_end());
}

#[tokio::test]
async fn the_proxy_refuses_private_networks_and_metadata_services() {
    let places = [
        "10.0.0.1:80",
        "192.168.1.1:80",
        "172.16.0.1:80",
        "169.254.169.254:80",
        "100.100.100.200:80",
        "[fd00:ec2::254]:80",
    ];
    let script = format!("{ASK}\nfor place in {places:?}:\n    print(ask(place)[0])");
    let ran = Machine::new().run(&outbound(&script, &[])).await;
    assert_eq!(ran.printed(), ["403"; 6].join("\n"));
}

#[tokio::test]
async fn a_host_that_is_allowed_is_reached_and_carries_both_ways() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        stream.write_all(text.to_uppercase().as_bytes()).unwrap();
    });
    let script = format!(
        "{ASK}\nstatus, s = ask('127.0.0.1:{port}')\ns.sendall(b'hello')\n\
         s.shutdown(socket.SHUT_WR)\nprint(status, s.recv(99).decode())"
    );
    let ran = Machine::new().run(&outbound(&script, &["127.0.0.1"])).await;
    assert_eq!(ran.printed(), "200 HELLO");
    server.join().unwrap();
}

#[tokio::test]
async fn programs_are_told_of_the_proxy_and_plain_requests_pass() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let length = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let script = format!(
        "del os.environ['no_proxy'], os.environ['NO_PROXY']\nimport urllib.request\n\
         print(urllib.request.urlopen('http://127.0.0.1:{port}/a').read().decode())"
    );
    let ran = Machine::new().run(&outbound(&script, &["127.0.0.1"])).await;
    assert_eq!(ran.printed(), "hi");
    assert!(server.join().unwrap().starts_with("GET /a HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_port_is_reached_from_the_hosts_loopback_and_nowhere_else() {
    let machine = Machine::new();
    let script = "
server = socket.create_server(('127.0.0.1', 8080))
print('up', flush=True)
while True:
    stream, _ = server.accept()
    stream.sendall(stream.recv(99).upper())
    stream.close()";
    let mut launch = python(&format!("{PRELUDE}\n{script}"));
    launch.ports = vec![8080];
    machine.runtime.start(&launch).await.unwrap();
    assert!(machine.runtime.started(launch.key).await);
    let endpoints = machine.runtime.endpoints(launch.key);
    let [(8080, address)] = endpoints[..] else { panic!("{endpoints:?}") };
    assert!(address.ip().is_loopback());
    let reply = tokio::task::spawn_blocking(move || {
        let deadline = std::time::Instant::now() + crate::support::PATIENCE;
        loop {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut reply = String::new();
            // Until the program listens, the connection is closed without a word.
            let asked = stream.write_all(b"hello").and_then(|()| stream.read_to_string(&mut reply));
            if asked.is_ok() && !reply.is_empty() {
                return reply;
            }
            assert!(std::time::Instant::now() < deadline);
        }
    });
    assert_eq!(reply.await.unwrap(), "HELLO");
    machine.runtime.stop(launch.key, true).await.unwrap();
    machine.ended(launch.key).await;
}

#[tokio::test]
async fn names_are_resolved_from_files_only() {
    let ran = Machine::new().run(&shell("getent hosts localhost w1 | sed 's/ .*//'")).await;
    assert!(ran.printed().lines().all(|line| ["::1", "127.0.0.1"].contains(&line)));
}
