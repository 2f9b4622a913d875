//! The tables, as scripts for `nft -f -`.
//!
//! Guarantees: one table `bastide` per family, nothing else is touched. The chains stand early (10 before the city's
//! own rules) and never accept for good: what is spared here is still judged by the city's own rules. Stateless, for
//! many kernels track no connections in a bridge. Every element carries its own timeout.
//!
//! A packet that is let through leaves the table by `return`, which is the end of the base chain and its policy:
//! that is "not judged here".

use super::elements::{Element, Set};
use model::{Action, Command, CommandId, Target, Timestamp};
use protect::ResponseConfig;
use std::{fmt::Write as _, net::IpAddr};

/// The table's name, in every family.
pub(crate) const TABLE: &str = "bastide";

/// The most elements of one set.
const SET_SIZE: usize = 65_536;

/// Where the table hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// Between neighbours in one street.
    Bridge,
    /// What is routed, and what goes to and from this machine.
    Inet,
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::Bridge, Self::Inet];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Inet => "inet",
        }
    }

    /// Ten before the priority that the family's own filter has.
    const fn priority(self) -> i32 {
        match self {
            Self::Bridge => -210,
            Self::Inet => -10,
        }
    }
}

/// The chains with their rules. Blocks come first: nothing that is kept for a device reaches a blocked address.
fn chains(family: Family) -> Vec<(&'static str, Option<&'static str>, Vec<&'static str>)> {
    let blocked_from = ["ip saddr @blocked_4 drop", "ip6 saddr @blocked_6 drop"];
    let blocked_to = ["ip daddr @blocked_4 drop", "ip6 daddr @blocked_6 drop"];
    let from = [
        "ether saddr @isolated_m goto from_isolated",
        "ip saddr @isolated_4 goto from_isolated",
        "ip6 saddr @isolated_6 goto from_isolated",
    ];
    let to = ["ip daddr @isolated_4 goto to_isolated", "ip6 daddr @isolated_6 goto to_isolated"];
    let mut forward: Vec<&str> =
        blocked_from.into_iter().chain(blocked_to).chain(["jump limits"]).chain(from).collect();
    if family == Family::Bridge {
        forward.push("ether daddr @isolated_m goto to_isolated");
    }
    forward.extend(to);
    let mut all = vec![
        ("stopped", None, STOPPED.to_vec()),
        ("from_isolated", None, from_isolated(family)),
        ("to_isolated", None, to_isolated(family)),
        ("limits", None, Vec::new()),
        ("forward", Some("forward"), forward),
    ];
    if family == Family::Inet {
        all.push(("input", Some("input"), blocked_from.into_iter().chain(from).collect()));
        all.push(("output", Some("output"), blocked_to.to_vec()));
    }
    all
}

/// What a cut off device may still send, at a bounded rate: leases, neighbours, names and time; and to its peers.
/// Answers to others' questions about neighbours go out under its own addresses only, so that it cannot pass for
/// the router.
fn from_isolated(family: Family) -> Vec<&'static str> {
    let mut rules = Vec::new();
    if family == Family::Bridge {
        rules.push("ether type arp ether saddr . arp saddr ip @own_m4 return");
    }
    rules.extend([
        "udp sport 68 udp dport 67 ether saddr . ip saddr @own_m4 return",
        "udp sport 68 udp dport 67 ip saddr @isolated_4 limit rate 20/second return",
        "udp sport 546 udp dport 547 limit rate 20/second return",
        "icmpv6 type { nd-router-solicit, nd-neighbor-solicit } ether saddr . ip6 saddr @own_m6 return",
        "icmpv6 type { nd-router-solicit, nd-neighbor-solicit } ip6 saddr @isolated_6 limit rate 20/second return",
        "icmpv6 type nd-neighbor-advert @th,64,128 @own_target limit rate 200/second return",
        "icmpv6 type { mld-listener-report, mld2-listener-report } limit rate 20/second return",
        "ether saddr . ip daddr @peer_m4 return",
        "ether saddr . ip6 daddr @peer_m6 return",
        "ip saddr . ip daddr @peer_44 return",
        "ip6 saddr . ip6 daddr @peer_66 return",
        "meta l4proto { tcp, udp } th dport { 53, 123 } ether saddr . ip daddr @ask_m4 return",
        "meta l4proto { tcp, udp } th dport { 53, 123 } ether saddr . ip6 daddr @ask_m6 return",
        "meta l4proto { tcp, udp } th dport { 53, 123 } ip saddr . ip daddr @ask_44 return",
        "meta l4proto { tcp, udp } th dport { 53, 123 } ip6 saddr . ip6 daddr @ask_66 return",
        "meta l4proto { tcp, udp } th dport { 53, 123 } goto stopped",
        "ip daddr @bastide_4 return",
        "ip6 daddr @bastide_6 return",
        "goto stopped",
    ]);
    rules
}

/// The end of the way, which counts.
const STOPPED: [&str; 4] =
    ["ether saddr @stopped_m drop", "ip saddr @stopped_4 drop", "ip6 saddr @stopped_6 drop", "drop"];

/// What still reaches a cut off device. Nothing here counts: a receipt is about what the device sent.
fn to_isolated(family: Family) -> Vec<&'static str> {
    let mut rules = Vec::new();
    if family == Family::Bridge {
        rules.push("ether type arp return");
        rules.push("ether daddr . ip saddr @peer_m4 return");
        rules.push("ether daddr . ip6 saddr @peer_m6 return");
    }
    rules.extend([
        "udp sport 67 udp dport 68 return",
        "udp sport 547 udp dport 546 return",
        "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } return",
        "ip saddr @bastide_4 return",
        "ip6 saddr @bastide_6 return",
        "ip daddr . ip saddr @peer_44 return",
        "ip6 daddr . ip6 saddr @peer_66 return",
        "meta l4proto { tcp, udp } th sport { 53, 123 } ip saddr @servers_4 return",
        "meta l4proto { tcp, udp } th sport { 53, 123 } ip6 saddr @servers_6 return",
        "drop",
    ]);
    rules
}

/// How many rules stand in the fixed chains: what an untouched table has.
pub(crate) fn rule_count(family: Family) -> usize {
    chains(family).iter().map(|(_, _, rules)| rules.len()).sum()
}

/// Removes the table, whether it is there or not.
pub(crate) fn remove(family: Family) -> String {
    let family = family.name();
    format!("add table {family} {TABLE}\ndelete table {family} {TABLE}\n")
}

/// Makes the table anew and empty.
pub(crate) fn build(family: Family, config: &ResponseConfig) -> String {
    build_as(family, TABLE, config)
}

/// A table of another name that comes and goes in one transaction: whether the kernel can do what is needed.
pub(crate) fn probe(family: Family, config: &ResponseConfig) -> String {
    let name = "bastide_probe";
    format!("{}delete table {} {name}\n", build_as(family, name, config), family.name())
}

fn build_as(family: Family, table: &str, config: &ResponseConfig) -> String {
    let place = format!("{} {table}", family.name());
    let mut script = format!("add table {place}\ndelete table {place}\nadd table {place}\n");
    let rate = config.kept_packets_per_second.max(1);
    for set in Set::ALL {
        let mut state = String::new();
        if set.counts() {
            state.push_str(" counter;");
        }
        if set.is_rated() {
            let _ = write!(state, " limit rate {rate}/second burst {rate} packets;");
        }
        let (name, key) = (set.name(), set.key());
        let _ =
            writeln!(script, "add set {place} {name} {{ {key}; size {SET_SIZE}; flags timeout;{state} }}");
    }
    let chains = chains(family);
    for (chain, hook, _) in &chains {
        let hook = hook.map_or_else(String::new, |hook| {
            format!(" {{ type filter hook {hook} priority {}; policy accept; }}", family.priority())
        });
        let _ = writeln!(script, "add chain {place} {chain}{hook}");
    }
    for (chain, _, rules) in &chains {
        for rule in rules {
            let _ = writeln!(script, "add rule {place} {chain} {rule}");
        }
    }
    script
}

/// Puts an element in, in place of an older one, until its own end.
pub(crate) fn put(family: Family, element: &Element, left_micros: i64, command: &CommandId) -> String {
    let place = format!("{} {TABLE} {}", family.name(), element.set.name());
    let (key, millis) = (element.key(), (left_micros / 1_000).max(1));
    let (secs, millis) = (millis / 1_000, millis % 1_000);
    let full = format!("{{ {key} timeout {secs}s{millis}ms comment \"{command}\" }}");
    // An element that is there keeps its old timeout when it is added again: out and in, in one transaction.
    format!("add element {place} {full}\ndelete element {place} {{ {key} }}\nadd element {place} {full}\n")
}

/// Takes an element out, whether it is there or not.
pub(crate) fn take(family: Family, element: &Element) -> String {
    let place = format!("{} {TABLE} {}", family.name(), element.set.name());
    let key = element.key();
    format!("add element {place} {{ {key} timeout 1s }}\ndelete element {place} {{ {key} }}\n")
}

/// The rule that limits a flow. It works only while the flow's element in `limited_*` lives, so that it ends with it.
pub(crate) fn limit_rule(family: Family, command: &Command) -> Option<String> {
    let (Target::Flow { src, dst, protocol, port }, Action::Limit { packets_per_second }) =
        (&command.on, &command.action)
    else {
        return None;
    };
    let (ip, set) = if dst.is_ipv4() { ("ip", Set::Limited4) } else { ("ip6", Set::Limited6) };
    let mut rule = format!(
        "add rule {} {TABLE} limits {ip} daddr . meta l4proto @{} {ip} daddr {dst} meta l4proto {}",
        family.name(),
        set.name(),
        protocol.0
    );
    let anybody = match src {
        IpAddr::V4(v4) => v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    if !anybody && src.is_ipv4() == dst.is_ipv4() {
        let _ = write!(rule, " {ip} saddr {src}");
    }
    if let Some(port) = port.filter(|_| matches!(protocol.0, 6 | 17 | 132)) {
        let _ = write!(rule, " th dport {port}");
    }
    let rate = (*packets_per_second).max(1);
    let _ = writeln!(
        rule,
        " limit rate over {rate}/second burst {rate} packets counter drop comment \"{}\"",
        command.id
    );
    Some(rule)
}

/// What is left of a command.
pub(crate) const fn left(command: &Command, now: Timestamp) -> i64 {
    command.expires.micros_since(now)
}
