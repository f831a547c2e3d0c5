//! The kernel's own account of a TCP connection: thin, and the only place that speaks to the system.

use std::{
    fs, io,
    net::TcpStream,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
    time::Duration,
};

/// Longest `struct tcp_info` that we read; a longer one is cut by the kernel.
const INFO_LEN: usize = 256;
/// `TCP_RTO_MAX_MS` of linux/tcp.h, since Linux 6.15.
const TCP_RTO_MAX_MS: libc::c_int = 44;
/// `TCP_ESTABLISHED` of net/tcp_states.h.
const ESTABLISHED: u8 = 1;
/// `TCP_CA_Recovery`; the one above is `TCP_CA_Loss` (tcp_info.tcpi_ca_state).
const RECOVERY: u8 = 3;
/// Longest wait between retransmissions: a link that is back is noticed within this.
const LONGEST_RTO_MS: libc::c_int = 1000;

/// A second handle on a socket of this process.
#[derive(Debug)]
pub(super) struct Socket {
    handle: TcpStream,
    number: u64,
}

/// What the kernel says at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// Bytes that the other side has acknowledged.
    pub(super) acked: u64,
    /// Bytes written and not acknowledged.
    pub(super) outstanding: u64,
    /// Smallest round trip of the last minutes.
    pub(super) min_rtt: Option<Duration>,
    /// Segments sent again so far.
    pub(super) retransmitted: u32,
    /// Whether segments were lost and are being sent again. A probe of the tail is none: on a thin link each train has one.
    pub(super) recovering: bool,
}

impl Socket {
    /// The open connection of this process to one of `ports`; the newest where there are several. `held` is a handle
    /// that we have on one already: alone it would keep a connection that the client has given up.
    pub(super) fn find(ports: &[u16], held: Option<&Self>) -> io::Result<Option<Self>> {
        let held = held.map(|held| held.handle.as_raw_fd());
        let mut found: Option<(RawFd, Self)> = None;
        for entry in fs::read_dir("/proc/self/fd")? {
            let entry = entry?;
            let descriptor = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
            let (Some(descriptor), Some(number)) = (descriptor, socket_number(&entry.path())) else {
                continue;
            };
            if Some(descriptor) == held {
                continue;
            }
            let Ok(handle) = duplicate(descriptor) else { continue };
            let socket = Self { handle: TcpStream::from(handle), number };
            let fits = socket.handle.peer_addr().is_ok_and(|peer| ports.contains(&peer.port()))
                && socket.account().is_ok();
            if fits && found.as_ref().is_none_or(|(other, _)| descriptor > *other) {
                found = Some((descriptor, socket));
            }
        }
        Ok(found.map(|(_, socket)| socket))
    }

    /// The system's own number of the socket, the same for all handles on it.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Keeps the waits between retransmissions short, where the system can.
    pub(super) fn retry_soon(&self) {
        let value = LONGEST_RTO_MS;
        let length = size_of_val(&value) as libc::socklen_t;
        // SAFETY: the descriptor is ours, and the option is an integer of the length given.
        let set = unsafe {
            libc::setsockopt(
                self.handle.as_raw_fd(),
                libc::IPPROTO_TCP,
                TCP_RTO_MAX_MS,
                (&raw const value).cast(),
                length,
            )
        };
        if set != 0 {
            tracing::debug!(error = %io::Error::last_os_error(), "limiting the wait between retransmissions");
        }
    }

    /// What the kernel says now.
    ///
    /// # Errors
    /// The system's own; [`io::ErrorKind::NotConnected`] once either side has closed.
    pub(super) fn account(&self) -> io::Result<Account> {
        // Asked first: what is acknowledged between the two questions must not make written bytes look fewer.
        let mut outstanding: libc::c_int = 0;
        // SAFETY: TIOCOUTQ writes one integer.
        let got = unsafe { libc::ioctl(self.handle.as_raw_fd(), libc::TIOCOUTQ, &raw mut outstanding) };
        if got != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut info = [0; INFO_LEN];
        let mut length = INFO_LEN as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `info`, which has them.
        let got = unsafe {
            libc::getsockopt(
                self.handle.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if got != 0 {
            return Err(io::Error::last_os_error());
        }
        let info = info.get(..length as usize).unwrap_or_default();
        if info.first() != Some(&ESTABLISHED) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        account(info, u64::try_from(outstanding).unwrap_or(0))
            .ok_or_else(|| io::Error::other("the kernel's TCP_INFO is too short"))
    }
}

/// Reads `struct tcp_info` by its offsets, which the kernel never changes; libc's own lacks some fields.
fn account(info: &[u8], outstanding: u64) -> Option<Account> {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_ne_bytes(*info.get(at..)?.first_chunk()?));
    let min_rtt_us = u32_at(148)?;
    Some(Account {
        acked: u64_at(120)?,
        outstanding,
        // All ones before the first measurement.
        min_rtt: (min_rtt_us != u32::MAX && min_rtt_us > 0)
            .then(|| Duration::from_micros(u64::from(min_rtt_us))),
        retransmitted: u32_at(100)?,
        recovering: info.get(1).is_some_and(|state| *state >= RECOVERY),
    })
}

/// The number of the socket that a descriptor's link in /proc points to.
fn socket_number(link: &Path) -> Option<u64> {
    let to = fs::read_link(link).ok()?;
    to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is used in this call only. Should the descriptor be closed by now, the call fails; should it be
    // another's by now, that one is looked at like all others.
    unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;

    /// Both ends of a connection on the loopback.
    fn connected() -> (TcpStream, TcpStream, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let out = TcpStream::connect(("127.0.0.1", port)).unwrap();
        (out, listener.accept().unwrap().0, port)
    }

    #[test]
    fn the_connection_to_a_port_is_found_and_its_bytes_are_counted() {
        let (mut out, mut inward, port) = connected();
        assert!(Socket::find(&[1], None).unwrap().is_none());
        let socket = Socket::find(&[port], None).unwrap().unwrap();
        socket.retry_soon();
        let before = socket.account().unwrap();
        out.write_all(&[7; 5000]).unwrap();
        inward.read_exact(&mut [0; 5000]).unwrap();
        let mut after = socket.account().unwrap();
        while after.outstanding > 0 {
            std::thread::yield_now();
            after = socket.account().unwrap();
        }
        assert_eq!(after.acked - before.acked, 5000);
        assert!(after.min_rtt.is_some_and(|rtt| rtt < Duration::from_secs(1)));
    }

    #[test]
    fn a_connection_that_only_we_hold_or_that_was_closed_is_none() {
        let (out, inward, port) = connected();
        let held = Socket::find(&[port], None).unwrap().unwrap();
        let again = Socket::find(&[port], Some(&held)).unwrap().unwrap();
        assert_eq!(again.number(), held.number());
        drop((out, again));
        // Tests beside this one look through all sockets, and have handles meanwhile.
        while Socket::find(&[port], Some(&held)).unwrap().is_some() {
            std::thread::yield_now();
        }
        assert!(held.account().is_ok(), "our own handle keeps it open");
        drop(inward);
        while held.account().is_ok() {
            std::thread::yield_now();
        }
        assert!(Socket::find(&[port], None).unwrap().is_none());
    }

    #[test]
    fn a_short_account_of_an_old_kernel_is_none() {
        assert_eq!(account(&[0; 120], 0), None);
    }
}
