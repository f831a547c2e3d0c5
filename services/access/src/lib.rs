//! Who may do what at the broker: roles, their rights, and the credentials that carry them.
//!
//! NATS' decentralised access: an operator vouches for accounts, an account's signing key for users, and the server
//! knows the operator and the accounts alone. So a new device is one signature, and no change of the server. Keys and
//! texts only: nothing here reads a file, a clock or the network.

mod authority;
mod credentials;
mod jwt;
mod role;

pub use authority::{Authority, ControlSigner};
pub use credentials::{BadSigningKey, Credentials, DeviceSigner};
pub use jwt::{SignError, Validity};
pub use role::{Rights, Role, ServiceRole};
