//! Where cameras and broker are: in network namespaces with a wire for each camera, or all on the loopback.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};

use anyhow::Context as _;

use super::{super::processes::free_address, setting::Shape};

/// The broker's port in its namespace, where nobody else is.
const PORT: u16 = 4222;
/// Interface of a camera in its namespace.
const WIRE: &str = "link0";

/// The ground that a demo stands on.
pub(super) enum Ground {
    Namespaces(Namespaces),
    Loopback,
}

impl Ground {
    /// Namespaces where they are wanted and may be made.
    pub(super) fn choose(shape: Shape, cameras: usize) -> anyhow::Result<Self> {
        match shape {
            Shape::Relay => Ok(Self::Loopback),
            Shape::Tc => Ok(Self::Namespaces(Namespaces::make(cameras)?)),
            Shape::Auto => Ok(match Namespaces::make(cameras) {
                Ok(namespaces) => Self::Namespaces(namespaces),
                Err(error) => {
                    eprintln!("links are shaped by a relay in user space, for tc needs root ({error:#})");
                    Self::Loopback
                }
            }),
        }
    }

    /// For people.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Namespaces(_) => "tc in network namespaces",
            Self::Loopback => "a relay in user space",
        }
    }

    /// Where a broker can listen.
    pub(super) fn broker_address(&self) -> anyhow::Result<SocketAddr> {
        match self {
            Self::Namespaces(namespaces) => Ok((namespaces.address(1), PORT).into()),
            Self::Loopback => free_address(),
        }
    }

    /// `program` where the broker is.
    pub(super) fn at_broker(&self, program: &str) -> Command {
        match self {
            Self::Namespaces(namespaces) => inside(&namespaces.hub(), program),
            Self::Loopback => Command::new(program),
        }
    }

    /// The namespace of a camera and its interface there.
    pub(super) fn camera(&self, number: usize) -> Option<(String, &'static str)> {
        match self {
            Self::Namespaces(namespaces) => Some((namespaces.camera(number), WIRE)),
            Self::Loopback => None,
        }
    }
}

/// `program` in a network namespace. `ip` becomes the program, so signals reach it.
pub(super) fn inside(namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// A hub with a bridge and the broker, and a namespace with a wire to it for each camera; gone when dropped.
pub(super) struct Namespaces {
    pid: u32,
    cameras: usize,
}

impl Namespaces {
    fn make(cameras: usize) -> anyhow::Result<Self> {
        let made = Self { pid: std::process::id(), cameras };
        let (hub, root) = (made.hub(), made.root_wire());
        let mut commands = vec![
            format!("netns add {hub}"),
            format!("-n {hub} link add hub type bridge"),
            format!("-n {hub} addr add {}/24 dev hub", made.address(1)),
            format!("-n {hub} link set hub up"),
            format!("link add {root} type veth peer name root netns {hub}"),
            format!("addr add {}/24 dev {root}", made.address(2)),
            format!("link set {root} up"),
            format!("-n {hub} link set root master hub up"),
        ];
        for number in 0..cameras {
            let camera = made.camera(number);
            let address = made.address(10 + number as u8);
            commands.extend([
                format!("netns add {camera}"),
                format!("link add {WIRE} netns {camera} type veth peer name cam{number} netns {hub}"),
                format!("-n {camera} addr add {address}/24 dev {WIRE}"),
                format!("-n {camera} link set {WIRE} up"),
                format!("-n {hub} link set cam{number} master hub up"),
            ]);
        }
        // Half of them made is dropped like all of them.
        commands.iter().try_for_each(|command| ip(command))?;
        Ok(made)
    }

    fn hub(&self) -> String {
        format!("autotiler-{}-hub", self.pid)
    }

    fn camera(&self, number: usize) -> String {
        format!("autotiler-{}-{number}", self.pid)
    }

    /// This machine's own end of a wire to the hub.
    fn root_wire(&self) -> String {
        format!("atd{}", self.pid)
    }

    /// Addresses of the range for measurements between networks (RFC 2544): nobody has them.
    fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, (self.pid % 254) as u8 + 1, host)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // With its namespace it would go, too, but later.
        let _ = Command::new("ip").args(["link", "del", &self.root_wire()]).output();
        let names = (0..self.cameras).map(|number| self.camera(number)).chain([self.hub()]);
        for name in names {
            // Some may never have been made. Their wires go with them.
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    let output =
        Command::new("ip").args(words.split(' ')).output().context("running ip: is iproute2 installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "ip {words}: {}", said.trim());
    Ok(())
}
