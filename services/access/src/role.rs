//! Roles and their rights, made of the subjects that `autotiler-transport` itself uses.

use std::fmt;

use autotiler_core::DeviceId;
use autotiler_transport::subject::{self, DECODERS, pattern};

/// Who somebody is to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// One device; speaks for itself and for no other.
    Device(DeviceId),
    /// Part of the system.
    Service(ServiceRole),
}

/// Parts of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceRole {
    /// Takes frames, answers with detections.
    Decoder,
    /// Shows what devices say, and their streams.
    Gateway,
    /// Hears what devices say, and keeps their orders.
    Controller,
    /// Looks on: telemetry, detections and orders.
    Monitor,
}

/// Where somebody may publish and subscribe; nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Patterns of subjects.
    pub publish: Vec<String>,
    /// Patterns of subjects; one with a queue group behind a space is for members of that group alone.
    pub subscribe: Vec<String>,
}

impl ServiceRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Decoder, Self::Gateway, Self::Controller, Self::Monitor];

    /// Its name, also in files and Secrets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Gateway => "gateway",
            Self::Controller => "controller",
            Self::Monitor => "monitor",
        }
    }
}

impl Role {
    /// The prefix of its inboxes, where it alone is answered. A device can be called like a service, hence `device`.
    pub fn inbox_prefix(&self) -> String {
        match self {
            Self::Device(device) => pattern::inbox_prefix(&format!("device.{device}")),
            Self::Service(service) => pattern::inbox_prefix(service.name()),
        }
    }

    /// What it may do.
    pub fn rights(&self) -> Rights {
        let (mut publish, mut subscribe) = match self {
            Self::Device(device) => device_rights(device),
            Self::Service(service) => service_rights(*service),
        };
        publish.push(pattern::nobody());
        subscribe.push(pattern::inboxes(&self.inbox_prefix()));
        Rights { publish, subscribe }
    }
}

fn device_rights(device: &DeviceId) -> (Vec<String>, Vec<String>) {
    let publish = vec![
        pattern::frames(device),
        // Made on the device itself, where it runs the whole network.
        pattern::answers(device),
        pattern::parameter_sets(device),
        subject::telemetry(device),
        pattern::echoes(device),
        pattern::kept_order(device),
    ];
    let subscribe = vec![
        pattern::answers(device),
        subject::parameters(device),
        pattern::echoes(device),
        subject::order(device),
    ];
    (publish, subscribe)
}

fn service_rights(service: ServiceRole) -> (Vec<String>, Vec<String>) {
    match service {
        ServiceRole::Decoder => (
            vec![pattern::all_answers(), pattern::all_parameters()],
            vec![format!("{} {DECODERS}", pattern::all_frames()), pattern::all_parameter_sets()],
        ),
        // The live page shows planes, so it reads frames and asks for the sets that decode them.
        ServiceRole::Gateway => (
            vec![pattern::all_parameters()],
            vec![
                subject::all_telemetry(),
                pattern::all_frames(),
                pattern::all_answers(),
                pattern::all_parameter_sets(),
            ],
        ),
        ServiceRole::Controller => (pattern::order_keeping(), vec![subject::all_telemetry()]),
        ServiceRole::Monitor => {
            (vec![], vec![subject::all_telemetry(), pattern::all_answers(), pattern::all_orders()])
        }
    }
}

impl fmt::Display for Role {
    /// As the broker's log and monitoring call it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => write!(f, "device {device}"),
            Self::Service(service) => f.write_str(service.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in README.md.
    fn table() -> String {
        let roles = [Role::Device("NAME".parse().unwrap())].into_iter();
        let mut table = "| role | may publish | may subscribe |\n| --- | --- | --- |\n".to_owned();
        for role in roles.chain(ServiceRole::ALL.map(Role::Service)) {
            let Rights { publish, subscribe } = role.rights();
            let cell = |subjects: Vec<String>| {
                subjects.iter().map(|subject| format!("`{subject}`")).collect::<Vec<_>>().join("<br>")
            };
            table += &format!("| {role} | {} | {} |\n", cell(publish), cell(subscribe));
        }
        table
    }

    #[test]
    fn the_readme_says_what_the_code_grants() {
        let readme = include_str!("../README.md");
        assert!(readme.contains(&table()), "README.md is to have this table:\n{}", table());
    }

    #[test]
    fn a_device_that_is_called_like_a_service_has_another_inbox() {
        let device = Role::Device("decoder".parse().unwrap());
        assert_ne!(device.inbox_prefix(), Role::Service(ServiceRole::Decoder).inbox_prefix());
    }
}
