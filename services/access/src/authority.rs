//! The root of all access: an operator and its accounts, made once for an installation.
//!
//! Two accounts, so that a right can be a right to a subject. The broker publishes an answer wherever the question's
//! reply subject says, in the account of whoever asked and past his rights. In one account with the store of orders a
//! device could have its own order stored as another's; from its own account it reaches no subject of the store.

use nkeys::KeyPair;
use serde_json::{Value, json};

use autotiler_transport::subject::{self, pattern};

use crate::{
    credentials::{Credentials, DeviceSigner, Signer},
    jwt::{self, SignError, Validity},
    role::{Role, ServiceRole},
};

/// Of devices, decoders, gateway and monitors.
const DEVICES: &str = "autotiler-devices";
/// Of the controller and the store of orders.
const CONTROL: &str = "autotiler-control";
/// The server's own; nobody has credentials for it.
const SYSTEM: &str = "SYS";

/// An operator and its accounts, all new.
pub struct Authority {
    operator: KeyPair,
    system: KeyPair,
    devices: Account,
    control: Account,
}

/// An account and the key that signs its users.
struct Account {
    identity: KeyPair,
    signing: KeyPair,
}

/// Signs controllers.
pub struct ControlSigner(Signer);

impl Authority {
    /// Makes all keys anew: credentials of another authority are worth nothing at this one's servers.
    pub fn create() -> Self {
        let account = || Account { identity: KeyPair::new_account(), signing: KeyPair::new_account() };
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            devices: account(),
            control: account(),
        }
    }

    /// Lets devices in, and what lives in their account.
    pub fn devices(&self) -> DeviceSigner {
        DeviceSigner(self.devices.signer())
    }

    /// Lets controllers in.
    pub fn control(&self) -> ControlSigner {
        ControlSigner(self.control.signer())
    }

    /// Credentials of `service`, by the account that it lives in.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn service(&self, service: ServiceRole, validity: Validity) -> Result<Credentials, SignError> {
        match service {
            ServiceRole::Controller => self.control().credentials(validity),
            other => self.devices().credentials(&Role::Service(other), validity),
        }
    }

    /// What nats-server must know, to be included in its configuration. No secret; JetStream is not part of it.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn server_config(&self, validity: Validity) -> Result<String, SignError> {
        let system = self.system.public_key();
        let operator = self.operator.public_key();
        let claims = json!({"type": "operator", "version": 2, "system_account": system});
        let operator = jwt::sign(&self.operator, &operator, "autotiler", validity, claims)?;
        let mut config = format!(
            "# Written by `autotiler access init`: whom this server lets in. Tokens only, no secret.\n\
             operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{\n"
        );
        for (key, name, claims) in [
            (&self.system, SYSTEM, account_claims(None, vec![], vec![], false)),
            (&self.devices.identity, DEVICES, self.devices_claims()),
            (&self.control.identity, CONTROL, self.control_claims()),
        ] {
            let subject = key.public_key();
            let token = jwt::sign(&self.operator, &subject, name, validity, claims)?;
            config += &format!("  # {name}\n  {subject}: {token}\n");
        }
        Ok(config + "}\n")
    }

    /// The seeds that a later change of the accounts would need, with their names; secrets.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn seeds(&self) -> Result<Vec<(&'static str, String)>, SignError> {
        let seed = |key: &KeyPair| key.seed().map_err(|source| SignError::new(&key.public_key(), source));
        Ok(vec![
            ("operator", seed(&self.operator)?),
            ("devices-account", seed(&self.devices.identity)?),
            ("control-account", seed(&self.control.identity)?),
            ("control-signing", seed(&self.control.signing)?),
        ])
    }

    fn devices_claims(&self) -> Value {
        let from = self.control.identity.public_key();
        let imports = vec![
            import("kept orders", &pattern::all_kept_orders(), "service", &from),
            import("orders", &pattern::all_orders(), "stream", &from),
        ];
        let exports = vec![export("telemetry", &subject::all_telemetry(), "stream")];
        account_claims(Some(&self.devices.signing), exports, imports, false)
    }

    fn control_claims(&self) -> Value {
        let from = self.devices.identity.public_key();
        let imports = vec![import("telemetry", &subject::all_telemetry(), "stream", &from)];
        let exports = vec![
            export("kept orders", &pattern::all_kept_orders(), "service"),
            export("orders", &pattern::all_orders(), "stream"),
        ];
        account_claims(Some(&self.control.signing), exports, imports, true)
    }
}

impl Account {
    fn signer(&self) -> Signer {
        let seed = self.signing.seed().and_then(|seed| KeyPair::from_seed(&seed));
        let key = seed.expect("a key that was made here has its seed");
        Signer { account: self.identity.public_key(), key }
    }
}

impl ControlSigner {
    /// Fresh credentials of a controller.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn credentials(&self, validity: Validity) -> Result<Credentials, SignError> {
        self.0.credentials(&Role::Service(ServiceRole::Controller), validity)
    }
}

fn export(name: &str, subject: &str, kind: &str) -> Value {
    json!({"name": name, "subject": subject, "type": kind})
}

fn import(name: &str, subject: &str, kind: &str, from: &str) -> Value {
    json!({"name": name, "subject": subject, "type": kind, "account": from})
}

/// Claims of an account that signs its users by `signing`, and may use JetStream where it `keeps` something.
fn account_claims(signing: Option<&KeyPair>, exports: Vec<Value>, imports: Vec<Value>, keeps: bool) -> Value {
    // -1 is without limit, 0 is none.
    let kept = if keeps { -1 } else { 0 };
    json!({
        "type": "account",
        "version": 2,
        "signing_keys": signing.map(KeyPair::public_key).into_iter().collect::<Vec<_>>(),
        "exports": exports,
        "imports": imports,
        "default_permissions": {"pub": {}, "sub": {}},
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1,
            "mem_storage": kept, "disk_storage": kept, "streams": kept, "consumer": kept,
        },
    })
}
