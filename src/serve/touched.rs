//! Noticing that somebody else has changed the kernel rules of the calling thread's namespace.
//!
//! The kernel says when any rules change, ours included, and counts how often that happened. Whoever knows
//! the count after a change of their own knows whether another one came after it. Messages are written by hand after
//! `linux/netfilter/nf_tables.h`; its numbers never change.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `1 << (NFNLGRP_NFTABLES - 1)`: all changes of rules.
const CHANGES: u32 = 1 << 6;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN`, and its answer `NFT_MSG_NEWGEN`.
const GET: u16 = 10 << 8 | 16;
const ANSWER: u16 = 10 << 8 | 15;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NFTA_GEN_ID`.
const GENERATION: u16 = 1;

/// Changes of the kernel rules of one namespace.
pub(super) struct Changes {
    events: AsyncFd<OwnedFd>,
    /// How often rules had been changed when all of them were as they should.
    known: u32,
}

impl Changes {
    /// Begins to listen, in the calling thread's namespace.
    #[expect(deprecated, reason = "its replacement is unsafe, and an owned descriptor keeps what that asks for")]
    pub(super) fn watch() -> io::Result<Changes> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, CHANGES))?;
        Ok(Changes { events: AsyncFd::with_interest(socket, Interest::READABLE)?, known: generation()? })
    }

    /// Takes what is there now for what should be there.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.known = generation()?;
        Ok(())
    }

    /// Waits until somebody has changed something since.
    pub(super) async fn next(&self) -> io::Result<()> {
        while generation()? == self.known {
            let mut ready = self.events.readable().await?;
            // What they say does not matter, and more than fit were lost.
            let mut message = [0; 256];
            loop {
                match recv(self.events.get_ref(), &mut message, RecvFlags::empty()) {
                    Err(Errno::AGAIN) => break,
                    Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
        }
        Ok(())
    }
}

/// Returns how often the rules of the calling thread's namespace were changed.
fn generation() -> io::Result<u32> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(NETFILTER))?;
    // Behind the header `nfgenmsg`: any family, version 0, resource 0.
    let message = [&20_u32.to_ne_bytes()[..], &GET.to_ne_bytes(), &REQUEST.to_ne_bytes(), &[0; 8], &[0; 4]].concat();
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0; 256];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    read(&answer[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads the generation from an answer: a header of 16 bytes, `nfgenmsg`, and attributes.
fn read(answer: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    if word(4)? != ANSWER {
        return None;
    }
    let mut at = 20;
    loop {
        let (length, number) = (usize::from(word(at)?), word(at + 2)?);
        if number == GENERATION {
            return Some(u32::from_be_bytes(answer.get(at + 4..at + 8)?.try_into().ok()?));
        }
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_found_among_other_attributes() {
        let head = [&[0; 4][..], &ANSWER.to_ne_bytes(), &[0; 14]].concat();
        let attribute = |number: u16, value: &[u8]| {
            let length = u16::try_from(4 + value.len()).unwrap();
            [&length.to_ne_bytes()[..], &number.to_ne_bytes(), value].concat()
        };
        let answer = [head.clone(), attribute(3, b"nft\0"), attribute(GENERATION, &7_u32.to_be_bytes())].concat();
        assert_eq!(read(&answer), Some(7));
        assert_eq!((read(&head), read(&[])), (None, None));
    }
}
