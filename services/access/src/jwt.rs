//! Tokens as nats-server reads them: a claim signed by a key, `header.claims.signature`, version 2 of the claims.
//!
//! Written here because what crates.io has is either without operators and JetStream's limits (`nats-jwt`), not
//! kept (`nats-jwt-rs`), or seven thousand generated lines (`nats-io-jwt`); we need three claims of a dozen fields.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// Why a key did not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It cannot.
    #[error("signing for {subject}")]
    Key {
        /// Public key of the one it was to vouch for.
        subject: String,
        /// The library's own words.
        #[source]
        source: nkeys::error::Error,
    },
    /// It may not.
    #[error("the key that lets devices in makes no {0}: that one comes from `autotiler access init`")]
    NotHere(String),
}

impl SignError {
    pub(crate) fn new(subject: &str, source: nkeys::error::Error) -> Self {
        Self::Key { subject: subject.to_owned(), source }
    }
}

/// From when and until when a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// When it is signed.
    pub issued_at: SystemTime,
    /// When it ends; `None` for never.
    pub expires_at: Option<SystemTime>,
}

impl Validity {
    /// From `issued_at` on.
    pub fn unending(issued_at: SystemTime) -> Self {
        Self { issued_at, expires_at: None }
    }
}

/// The token by which `issuer` vouches for the holder of the public key `subject`, called `name`, with `claims`.
pub(crate) fn sign(
    issuer: &KeyPair,
    subject: &str,
    name: &str,
    validity: Validity,
    claims: Value,
) -> Result<String, SignError> {
    let mut token = json!({
        "iat": seconds(validity.issued_at),
        "iss": issuer.public_key(),
        "sub": subject,
        "name": name,
        "nats": claims,
    });
    if let Some(end) = validity.expires_at {
        token["exp"] = seconds(end).into();
    }
    // Names this very token, in the server's log and for whoever revokes it.
    token["jti"] = hex::encode(Sha256::digest(token.to_string())).into();
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(HEADER), encode(&token.to_string()));
    let signature = issuer.sign(signed.as_bytes()).map_err(|source| SignError::new(subject, source))?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_says_who_vouches_for_whom_and_until_when() {
        let issuer = KeyPair::new_account();
        let user = KeyPair::new_user().public_key();
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let validity = Validity { issued_at: now, expires_at: Some(now + Duration::from_secs(60)) };
        let token = sign(&issuer, &user, "device cam", validity, json!({"type": "user"})).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{token}") };
        let read = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        assert_eq!(read(header), HEADER.as_bytes());
        issuer.verify(format!("{header}.{claims}").as_bytes(), &read(signature)).unwrap();
        let claims: Value = serde_json::from_slice(&read(claims)).unwrap();
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1000), &json!(1060)));
        assert_eq!(claims["sub"], user);
    }
}
