//! SCRAM-SHA-256 (RFC 5802, 7677): each side proves that it knows the password, and neither says
//! it. Absent on purpose: channel binding, which the certificate makes up for; SASLprep, without
//! which passwords of ASCII are the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Rounds that a server may want: more is a way to keep us busy (a hundred thousand are some ten
/// milliseconds); fewer, to have us give less. PostgreSQL's own are 4,096.
const ROUNDS: std::ops::RangeInclusive<u32> = 4_096..=100_000;
/// Bytes of our nonce.
const NONCE: usize = 18;

/// One proof.
pub(crate) struct Scram {
    password: Zeroizing<String>,
    nonce: String,
    /// What the server has to show.
    wanted: Option<Vec<u8>>,
    proved: bool,
}

impl Scram {
    pub(crate) fn new(password: &Zeroizing<String>) -> Self {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the system gives random numbers");
        Self::with(password, STANDARD.encode(nonce))
    }

    fn with(password: &Zeroizing<String>, nonce: String) -> Self {
        Self { password: password.clone(), nonce, wanted: None, proved: false }
    }

    /// What we begin with.
    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    /// PostgreSQL takes the user's name from the startup.
    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// Our proof, for what the server asks.
    pub(crate) fn answer(&mut self, asked: &str) -> Result<String, &'static str> {
        let part = |name: &str| asked.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = part("r=").filter(|nonce| nonce.starts_with(&self.nonce));
        let nonce = nonce.filter(|nonce| nonce.len() > self.nonce.len());
        let nonce = nonce.ok_or("it repeats another nonce than ours")?;
        let salt = part("s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or("no salt")?;
        let rounds: u32 = part("i=").and_then(|rounds| rounds.parse().ok()).ok_or("no rounds")?;
        let rounds = NonZeroU32::new(rounds).filter(|rounds| ROUNDS.contains(&rounds.get()));
        let rounds = rounds.ok_or(
            "it wants fewer than 4,096 rounds (too weak a proof) or more than 100,000 (work that \
             would keep others waiting): set scram_iterations there, and its user's password anew",
        )?;
        let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
        let password = self.password.as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password, &mut *salted);
        let key = Zeroizing::new(mac(&*salted, b"Client Key"));
        let stored = digest::digest(&digest::SHA256, &key);
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{asked},{last}", self.bare());
        let signature = mac(stored.as_ref(), all.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.wanted = Some(mac(&mac(&*salted, b"Server Key"), all.as_bytes()));
        Ok(format!("{last},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server has shown that it knows the password, too.
    pub(crate) fn proved(&mut self, last: &str) -> Result<(), &'static str> {
        let shown = last.split(',').find_map(|part| part.strip_prefix("v="));
        let shown = shown.and_then(|shown| STANDARD.decode(shown).ok());
        self.proved = shown.is_some() && shown == self.wanted;
        if self.proved { Ok(()) } else { Err("it does not know the password") }
    }

    /// Whether our proof was made.
    pub(crate) fn is_answered(&self) -> bool {
        self.wanted.is_some()
    }

    pub(crate) fn is_proved(&self) -> bool {
        self.proved
    }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3, which names a user.
    #[test]
    fn a_server_that_knows_no_password_proves_nothing() {
        let password = Zeroizing::new("pencil".to_owned());
        let asked = "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let mut scram = Scram::with(&password, "abc".to_owned());
        assert!(scram.answer(asked).unwrap().starts_with("c=biws,r=abcdef,p="));
        assert!(scram.proved("v=AAAA").is_err() && !scram.is_proved());
        for asked in [
            "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
            "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=100001",
            "r=abcdef,i=4096",
            "",
        ] {
            assert!(Scram::with(&password, "abc".to_owned()).answer(asked).is_err(), "{asked}");
        }
    }
}
