//! One message to the kernel's connection tracking: forget a UDP flow.
//!
//! Written by hand after `linux/netfilter/nfnetlink_conntrack.h`, because the tool for it is on few
//! hosts. Numbers of attributes are the kernel's and never change.

use std::io;
use std::net::SocketAddrV4;

use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

const UDP: u8 = 17;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 1 << 8 | 2;

/// `NLM_F_REQUEST | NLM_F_ACK`.
const FLAGS: u16 = 1 | 4;

/// `NLMSG_ERROR`, which is also how success is said.
const ACKNOWLEDGEMENT: u16 = 2;

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// Makes the kernel forget a UDP flow, in the calling thread's namespace; one that is over already is
/// no error.
pub(super) fn delete_udp(client: SocketAddrV4, service: SocketAddrV4) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(NETFILTER))?;
    send(&socket, &message(client, service), SendFlags::empty())?;
    let mut answer = [0; 1_024];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let code = |bytes: &[u8]| {
        Some((u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?), i32::from_ne_bytes(bytes.get(16..20)?.try_into().ok()?)))
    };
    match code(&answer[..length]) {
        Some((ACKNOWLEDGEMENT, 0)) => Ok(()),
        Some((ACKNOWLEDGEMENT, error)) if -error == Errno::NOENT.raw_os_error() => Ok(()),
        Some((ACKNOWLEDGEMENT, error)) => Err(io::Error::from_raw_os_error(-error)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn message(client: SocketAddrV4, service: SocketAddrV4) -> Vec<u8> {
    let addresses = [attribute(1, &client.ip().octets()), attribute(2, &service.ip().octets())].concat();
    let ports = [attribute(1, &[UDP]), attribute(2, &client.port().to_be_bytes()), attribute(3, &service.port().to_be_bytes())].concat();
    let tuple = [attribute(1 | NESTED, &addresses), attribute(2 | NESTED, &ports)].concat();
    // `nfgenmsg`: family AF_INET, version 0, resource 0.
    let body = [vec![2, 0, 0, 0], attribute(1 | NESTED, &tuple)].concat();
    let length = u32::try_from(16 + body.len()).expect("a message is short");
    let header = [&length.to_ne_bytes()[..], &DELETE.to_ne_bytes(), &FLAGS.to_ne_bytes(), &[0; 8]].concat();
    [header, body].concat()
}

/// An attribute: its length, its number, its value, and zeros up to a multiple of four.
fn attribute(number: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("an attribute is short");
    let mut bytes = [&length.to_ne_bytes()[..], &number.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
