//! A server that others reach: TLS with a certificate of its own, and nothing in clear text.

use crate::world;

#[test]
fn a_client_that_trusts_the_certificate_is_served_and_no_other() {
    let world = world();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    world.write("cert.pem", &made.cert.pem());
    world.write("key.pem", &made.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    world.write("other.pem", &other.cert.pem());
    let at = |name: &str| world.work().join(name).display().to_string();
    let (cert, key) = (at("cert.pem"), at("key.pem"));
    let up = ["up", "-d", "--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    world.ok(&up);
    let note = std::fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let address = note["address"].as_str().unwrap().to_owned();
    assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    let written = std::fs::read_to_string(world.client_file()).unwrap();
    let token = written.lines().find(|line| line.starts_with("token")).unwrap().to_owned();
    let (plain, host) = (address.replacen("https", "http", 1), &address["https://".len()..]);
    let asks = |address: &str, ca: &str| {
        let ca = at(ca);
        std::fs::write(world.client_file(), format!("{token}\nca = \"{ca}\"\n")).unwrap();
        world.weft(&["--server", address, "ps"])
    };

    let answer = asks(&address, "cert.pem");
    assert_eq!(answer.code, 0, "{answer:?}");
    let answer = asks(&address, "other.pem");
    assert_eq!(answer.code, 124, "{answer:?}");
    assert!(answer.err.contains(&format!("TLS with https://{host}")), "{answer:?}");
    let answer = asks(&plain, "cert.pem");
    assert_eq!(answer.code, 2, "{answer:?}");
    let said = "this server speaks TLS, not plain HTTP";
    assert!(answer.err.contains(said) && answer.err.contains("hint: write https://"), "{answer:?}");
    world.ok(&["down"]);
}
