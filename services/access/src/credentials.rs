//! Credentials of users, and the key that signs those of devices.

use std::{fmt, str::FromStr};

use nkeys::{KeyPair, KeyPairType};
use serde_json::json;

use crate::{
    jwt::{self, SignError, Validity},
    role::{Rights, Role, ServiceRole},
};

/// A credentials file: a token and the seed of its key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(String);

/// Signs users of one account.
pub(crate) struct Signer {
    /// Public key of the account.
    pub(crate) account: String,
    /// One of the account's signing keys.
    pub(crate) key: KeyPair,
}

/// Signs devices, and whatever else lives in their account: decoders, gateway, monitors. It cannot sign a controller.
///
/// As text: the account's public key and the key's seed, each in a line.
pub struct DeviceSigner(pub(crate) Signer);

/// Why a text is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum BadSigningKey {
    /// A line is missing.
    #[error(
        "the signing key has no line {0:?}: it is the file account.key that `autotiler access init` wrote, \
         or the key of the same name in the Secret <release>-nats-account"
    )]
    Missing(&'static str),
    /// Not an account's public key.
    #[error("the signing key's line \"account\" must have an account's public key, which begins with A")]
    Account,
    /// Not a seed of an account's key.
    #[error("the signing key's line \"seed\" must have the seed of an account's key, which begins with SA")]
    Seed,
}

impl Signer {
    /// Fresh credentials of `role`.
    pub(crate) fn credentials(&self, role: &Role, validity: Validity) -> Result<Credentials, SignError> {
        let user = KeyPair::new_user();
        let subject = user.public_key();
        let Rights { publish, subscribe } = role.rights();
        let claims = json!({
            "type": "user",
            "version": 2,
            "issuer_account": self.account,
            "pub": {"allow": publish},
            "sub": {"allow": subscribe},
            "subs": -1,
            "data": -1,
            "payload": -1,
        });
        let token = jwt::sign(&self.key, &subject, &role.to_string(), validity, claims)?;
        let seed = user.seed().map_err(|source| SignError::new(&subject, source))?;
        Ok(Credentials(format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )))
    }
}

impl DeviceSigner {
    /// Fresh credentials of `role`, with a key of their own: nothing that was signed before ends.
    ///
    /// # Errors
    /// [`SignError`]; [`SignError::NotHere`] for a controller, which lives in another account.
    pub fn credentials(&self, role: &Role, validity: Validity) -> Result<Credentials, SignError> {
        if *role == Role::Service(ServiceRole::Controller) {
            return Err(SignError::NotHere(role.to_string()));
        }
        self.0.credentials(role, validity)
    }

    /// The key as text; a secret.
    ///
    /// # Errors
    /// [`SignError`] when the key has no seed, which one that was read or made here has.
    pub fn to_text(&self) -> Result<String, SignError> {
        let seed = self.0.key.seed().map_err(|source| SignError::new(&self.0.account, source))?;
        Ok(format!(
            "# Lets devices in: whoever has this file may make credentials for any device.\n\
             account {}\nseed {seed}\n",
            self.0.account
        ))
    }
}

impl FromStr for DeviceSigner {
    type Err = BadSigningKey;

    fn from_str(text: &str) -> Result<Self, BadSigningKey> {
        let line = |name: &'static str| {
            let found = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
            found.map(str::trim).ok_or(BadSigningKey::Missing(name))
        };
        let is_account = |key: &KeyPair| matches!(key.key_pair_type(), KeyPairType::Account);
        let account = line("account")?.to_owned();
        KeyPair::from_public_key(&account).ok().filter(is_account).ok_or(BadSigningKey::Account)?;
        let key = KeyPair::from_seed(line("seed")?).ok().filter(is_account).ok_or(BadSigningKey::Seed)?;
        Ok(Self(Signer { account, key }))
    }
}

impl Credentials {
    /// The text of the file.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

impl fmt::Debug for DeviceSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceSigner({})", self.0.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;

    #[test]
    fn a_signing_key_round_trips_through_text() {
        let text = Authority::create().devices().to_text().unwrap();
        let again: DeviceSigner = text.parse().unwrap();
        assert_eq!(again.to_text().unwrap(), text);
    }

    #[test]
    fn a_bad_signing_key_says_what_is_meant() {
        let text = Authority::create().devices().to_text().unwrap();
        let user = KeyPair::new_user();
        for (bad, says) in [
            (String::new(), "autotiler access init"),
            (text.replace("seed", "sed"), "no line \"seed\""),
            (text.replace("account A", "account B"), "begins with A"),
            (format!("account {}\nseed x", KeyPair::new_account().public_key()), "begins with SA"),
            (text.replace("seed S", &format!("seed {}\n", user.seed().unwrap())), "begins with SA"),
        ] {
            let error = bad.parse::<DeviceSigner>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_key_that_lets_devices_in_makes_no_controller() {
        let signer = Authority::create().devices();
        let role = Role::Service(ServiceRole::Controller);
        let refused = signer.credentials(&role, Validity::unending(std::time::SystemTime::UNIX_EPOCH));
        assert!(matches!(refused, Err(SignError::NotHere(_))));
    }
}
