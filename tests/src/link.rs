//! A device's link: two network namespaces with a wire between them, shaped by tc on the device's way out.
//!
//! All of a scenario but the device lives at the server's end ([`Link::enter`]), where only the device's own traffic
//! passes the shaper. The namespaces have no names: nothing collides, and nothing stays behind.

mod namespace;

use std::{io, net::Ipv4Addr, process::Command};

use nix::errno::Errno;

use self::namespace::Namespace;

/// The server's end.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);

/// The device's end.
const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);

/// Smallest bucket of the shaper in bytes, one packet: a real link lets nothing pass at once.
const LEAST_BURST: u64 = 1_600;

/// Largest packet on a wire that is shaped as one, in bytes: what any link carries whole (RFC 1122, section 3.3.3).
const SMALL_PACKET: u64 = 576;

/// Its frame's header.
const FRAME_HEADER: u64 = 14;

/// Longest wait in the shaper. As long as a modem's: nothing is thrown away, everything comes late.
const LONGEST_WAIT: &str = "2s";

/// What can go wrong with a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A namespace could not be made.
    #[error("making a network namespace")]
    Namespace(#[source] io::Error),
    /// A thread could not go there.
    #[error("entering a network namespace")]
    Enter(#[from] Errno),
    /// `ip` or `tc` could not be run.
    #[error("running {command}")]
    Run {
        /// All of it.
        command: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// `ip` or `tc` refused.
    #[error("{command}: {said}")]
    Refused {
        /// All of it.
        command: String,
        /// What it said.
        said: String,
    },
}

/// A link of this test alone.
#[derive(Debug)]
pub struct Link {
    server: Namespace,
    device: Namespace,
}

impl Link {
    /// A link whose way up carries `bits_per_second`; `None` after a printed line where namespaces are not permitted
    /// (they need root), for the test to skip.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn new(bits_per_second: u64) -> Result<Option<Self>, LinkError> {
        let (server, device) = match Namespace::new().and_then(|server| Ok((server, Namespace::new()?))) {
            Ok(both) => both,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: network namespaces need root");
                return Ok(None);
            }
            Err(error) => return Err(LinkError::Namespace(error)),
        };
        let link = Self { server, device };
        link.wire()?;
        link.device.within(|| tc("add", bits_per_second, bucket(bits_per_second)))??;
        Ok(Some(link))
    }

    /// The address at which the device finds the server.
    pub const fn server() -> Ipv4Addr {
        SERVER
    }

    /// Moves the calling thread to the server's end, and with it every thread and process that it starts.
    ///
    /// # Errors
    /// [`LinkError::Enter`].
    pub fn enter(&self) -> Result<(), LinkError> {
        Ok(self.server.enter()?)
    }

    /// Does `work` at the device's end: starts its process, looks at its admin port.
    ///
    /// # Errors
    /// [`LinkError::Enter`].
    pub fn at_device<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LinkError> {
        Ok(self.device.within(work)?)
    }

    /// Sets what the way up carries from now on.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn shape(&self, bits_per_second: u64) -> Result<(), LinkError> {
        self.device.within(|| tc("change", bits_per_second, bucket(bits_per_second)))?
    }

    /// As [`Link::shape`], but as close to a wire as tc comes: its bucket lets one packet pass at once, and packets are
    /// small. A larger bucket fills between frames, and then lets a small frame pass in no time at all.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn shape_as_wire(&self, bits_per_second: u64) -> Result<(), LinkError> {
        self.server.within(|| ip(&format!("link set server mtu {SMALL_PACKET}")))??;
        self.device.within(|| {
            ip(&format!("link set device mtu {SMALL_PACKET}"))?;
            tc("change", bits_per_second, SMALL_PACKET + FRAME_HEADER)
        })?
    }

    fn wire(&self) -> Result<(), LinkError> {
        let device = self.device.path();
        self.server.within(|| {
            ip(&format!("link add server type veth peer name device netns {}", device.display()))?;
            up("server", SERVER)
        })??;
        self.device.within(|| up("device", DEVICE))?
    }
}

fn up(end: &str, addr: Ipv4Addr) -> Result<(), LinkError> {
    ip(&format!("addr add {addr}/24 dev {end}"))?;
    ip(&format!("link set {end} up"))?;
    ip("link set lo up")
}

fn ip(args: &str) -> Result<(), LinkError> {
    run("ip", args)
}

/// Bytes of a hundredth of a second: a larger bucket would hide a drop.
fn bucket(bits_per_second: u64) -> u64 {
    (bits_per_second / 800).max(LEAST_BURST)
}

fn tc(verb: &str, bits_per_second: u64, burst: u64) -> Result<(), LinkError> {
    let shaper = format!("tbf rate {bits_per_second}bit burst {burst} latency {LONGEST_WAIT}");
    run("tc", &format!("qdisc {verb} dev device root {shaper}"))
}

fn run(program: &str, args: &str) -> Result<(), LinkError> {
    let command = format!("{program} {args}");
    let output = Command::new(program).args(args.split(' ')).output();
    let output = output.map_err(|source| LinkError::Run { command: command.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(LinkError::Refused { command, said: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        time::{Duration, Instant},
    };

    use super::*;

    /// How long `bytes` take on their way up.
    fn carry(link: &Link, bytes: usize) -> Duration {
        let listener = TcpListener::bind((SERVER, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let start = Instant::now();
        link.at_device(move || TcpStream::connect(addr).unwrap().write_all(&vec![7; bytes]).unwrap())
            .unwrap();
        let mut arrived = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut arrived).unwrap();
        assert_eq!(arrived.len(), bytes);
        start.elapsed()
    }

    #[test]
    fn carries_what_it_is_shaped_to_and_two_links_do_not_meet() {
        let Some(link) = Link::new(1_000_000).unwrap() else { return };
        let _other = Link::new(1_000_000).unwrap().unwrap();
        link.enter().unwrap();
        // 0.4 Mbit.
        let took = carry(&link, 50_000);
        assert!(took >= Duration::from_millis(350) && took < Duration::from_secs(2), "{took:?}");
        link.shape(20_000_000).unwrap();
        let took = carry(&link, 50_000);
        assert!(took < Duration::from_millis(350), "{took:?}");
    }

    #[test]
    fn a_refused_command_is_told_in_its_own_words() {
        let Some(link) = Link::new(1_000_000).unwrap() else { return };
        let error = link.at_device(|| tc("replace-all", 1, 1)).unwrap().unwrap_err().to_string();
        assert!(error.contains("qdisc replace-all"), "{error}");
    }
}
