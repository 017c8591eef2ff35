//! Chooses the addresses of replicas.
//!
//! Docker hands a freed address to the next container at once, while others may still be sending to
//! it. Here the choice goes round the whole range before an address comes again.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// So many addresses at the beginning stay free: the network's own, the gateway, the front, and what
/// a later version may need.
const KEPT_FREE: u32 = 10;

/// Chooses addresses, least recently used first.
#[derive(Debug)]
pub(super) struct Addresses {
    range: Ipv4Net,
    /// Where the next search begins; `None` until the first choice shows what is in use.
    next: Option<u32>,
    /// Chosen, but the container does not exist yet.
    reserved: BTreeSet<Ipv4Addr>,
}

impl Addresses {
    pub(super) fn new(range: Ipv4Net) -> Self {
        Addresses { range, next: None, reserved: BTreeSet::new() }
    }

    /// Chooses an address that is not taken, and keeps it reserved until it is released.
    pub(super) fn choose(&mut self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let first = u32::from(self.range.network()) + KEPT_FREE;
        let last = u32::from(self.range.broadcast()) - 1;
        let range = self.range;
        // After a restart of the agent the order is lost; beyond the highest address in use is the
        // best guess at what has not been used for long.
        let highest = taken.iter().filter(|address| range.contains(*address)).max();
        let start = self.next.unwrap_or_else(|| highest.map_or(first, |address| u32::from(*address) + 1)).clamp(first, last);
        let address = (start..=last)
            .chain(first..start)
            .map(Ipv4Addr::from)
            .find(|address| !taken.contains(address) && !self.reserved.contains(address))?;
        self.next = Some(if u32::from(address) == last { first } else { u32::from(address) + 1 });
        self.reserved.insert(address);
        Some(address)
    }

    /// Says that the address shows up with its container by now, or was not used.
    pub(super) fn release(&mut self, address: Ipv4Addr) {
        self.reserved.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses::new("10.200.0.0/28".parse().expect("network"))
    }

    #[test]
    fn an_address_comes_again_only_after_all_others() {
        let mut addresses = addresses();
        let mut chosen = Vec::new();
        for _ in 0..6 {
            let address = addresses.choose(&BTreeSet::new()).expect("free");
            addresses.release(address);
            chosen.push(address.octets()[3]);
        }
        assert_eq!(chosen, [10, 11, 12, 13, 14, 10]);
    }

    #[test]
    fn a_new_agent_begins_beyond_what_is_in_use() {
        let taken = BTreeSet::from(["10.200.0.12".parse().expect("address")]);
        assert_eq!(addresses().choose(&taken), "10.200.0.13".parse().ok());
        let taken = BTreeSet::from(["10.200.0.14".parse().expect("address")]);
        assert_eq!(addresses().choose(&taken), "10.200.0.10".parse().ok());
    }

    #[test]
    fn what_is_taken_or_reserved_is_not_chosen() {
        let mut addresses = addresses();
        let taken = (10..14).map(|last| Ipv4Addr::new(10, 200, 0, last)).collect();
        assert_eq!(addresses.choose(&taken), "10.200.0.14".parse().ok());
        assert_eq!(addresses.choose(&taken), None);
    }
}
