//! Commands as OpenC2: Language Specification 1.0 with the stateless packet filter profile (SLPF 1.0); taking an identity away is
//! `contain` of a `device` of the language itself, and giving it back `restore`.
//!
//! Guarantees: every message is one that an SLPF consumer of another maker understands by itself: `deny` for what is
//! stopped, `allow` (first, with `insert_rule`) for what still passes. What SLPF has no word for (hardware addresses,
//! rates, whom it hits) stands in the argument `x-bastide`, as the language provides for. [`command`] reads back
//! exactly what [`messages`] wrote, and refuses messages whose standard part and own part differ.

use model::{Action, Command, CommandId, Hit, Kind, Protocol, Target, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The most messages of one command that are read.
pub const MAX_MESSAGES: usize = 1024;

/// One OpenC2 command (section 3.3.1 of the language specification).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// What to do.
    pub action: Verb,
    /// To what.
    pub target: Object,
    /// How and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Args>,
    /// Who is to do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actuator: Option<Profile>,
    /// Names this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
}

/// The actions that Bastide uses: those of SLPF, and two of the language for identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Prevent from passing.
    Deny,
    /// Let pass.
    Allow,
    /// Take a device's identity away.
    Contain,
    /// Give it back.
    Restore,
}

/// The targets of SLPF that Bastide uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// `10.0.0.7/32`
    Ipv4Net(String),
    /// `fd00::7/128`
    Ipv6Net(String),
    /// What goes from one to another.
    Ipv4Connection(Connection),
    /// What goes from one to another.
    Ipv6Connection(Connection),
    /// One of ours, by its id.
    Device(Device),
}

/// A device (section 3.4.1.4 of the language specification).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What it is called here.
    pub device_id: String,
}

/// A connection; unset fields match anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// From.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_addr: Option<String>,
    /// From this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_port: Option<u16>,
    /// To.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_addr: Option<String>,
    /// To this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_port: Option<u16>,
    /// `icmp`, `tcp`, `udp` or `sctp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// Arguments (section 3.3.1.4), those of SLPF and our own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_time: Option<i64>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<i64>,
    /// `none`, `ack`, `status` or `complete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_requested: Option<String>,
    /// Arguments of the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slpf: Option<SlpfArgs>,
    /// What SLPF has no word for.
    #[serde(rename = "x-bastide", default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Box<Own>>,
}

/// Arguments of SLPF (section 2.1.3.2 of the profile).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlpfArgs {
    /// What becomes of denied packets: `none` drops them in silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_process: Option<String>,
    /// Whether the rule survives a restart of the consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    /// `both`, `ingress` or `egress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// Place in the rules; smaller numbers come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_rule: Option<u32>,
}

/// The profile that is addressed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Any consumer with a stateless packet filter.
    pub slpf: serde_json::Map<String, serde_json::Value>,
}

/// What SLPF has no word for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// The action in our words.
    pub does: Action,
    /// The target in our words.
    pub on: Target,
    /// Why.
    pub why: String,
    /// Whom it will hit.
    pub hits: Vec<Hit>,
    /// When it was proposed, to the microsecond.
    pub created: Timestamp,
    /// When it ends, to the microsecond.
    pub expires: Timestamp,
    /// What undoes it, in words.
    pub inverse: String,
    /// The kind of asset.
    pub kind: Kind,
}

/// Why messages are not a command of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenC2Error {
    /// Nothing there.
    #[error("expected 1 to {MAX_MESSAGES} messages, found {0}")]
    Count(usize),
    /// The identifier is missing or none of ours.
    #[error("command_id: {0}")]
    Id(String),
    /// A field cannot be.
    #[error("{field}: expected {expected}, found {found:?}")]
    Field {
        /// Which.
        field: &'static str,
        /// What may stand there.
        expected: &'static str,
        /// What stood there.
        found: String,
    },
    /// The own part says something else than the standard part.
    #[error("the argument x-bastide does not say what the messages say by themselves")]
    Differs,
}

/// A command as messages: what still passes first, then what is stopped.
#[must_use]
pub fn messages(command: &Command) -> Vec<Message> {
    let mut found = Vec::new();
    match (&command.action, &command.on) {
        (Action::Suspend { asset }, _) => found.push((Verb::Contain, device(asset))),
        (Action::Isolate { keep }, Target::Device { addresses, .. }) => {
            for (own, kept) in pairs(addresses, keep) {
                found.push((Verb::Allow, connection(own, kept, Some(Protocol::UDP), Some(53))));
                found.push((Verb::Allow, connection(own, kept, Some(Protocol::TCP), Some(53))));
                found.push((Verb::Allow, connection(own, kept, Some(Protocol::UDP), Some(123))));
            }
            found.extend(addresses.iter().map(|&address| (Verb::Deny, host(address))));
        }
        (Action::Restrict { peers }, Target::Device { addresses, .. }) => {
            for (own, peer) in pairs(addresses, peers) {
                found.push((Verb::Allow, connection(own, peer, None, None)));
                found.push((Verb::Allow, connection(peer, own, None, None)));
            }
            found.extend(addresses.iter().map(|&address| (Verb::Deny, host(address))));
        }
        (_, Target::Device { addresses, .. }) => {
            found.extend(addresses.iter().map(|&address| (Verb::Deny, host(address))));
        }
        (_, Target::Remote { address }) => found.push((Verb::Deny, host(*address))),
        (_, Target::Flow { src, dst, protocol, port }) => {
            found.push((Verb::Deny, connection(*src, *dst, Some(*protocol), *port)));
        }
    }
    let count = found.len();
    let build = |(at, (action, target)): (usize, (Verb, Object))| Message {
        action,
        target,
        args: Some(args(command, action, at, at + 1 == count)),
        actuator: (action != Verb::Contain).then(Profile::default),
        command_id: Some(if at + 1 == count {
            command.id.to_string()
        } else {
            format!("{}.{at}", command.id)
        }),
    };
    found.into_iter().enumerate().map(build).collect()
}

/// What undoes a command: `allow` for all that it denied, `restore` for what it contained.
#[must_use]
pub fn inverse(command: &Command) -> Vec<Message> {
    let denied = messages(command).into_iter().filter(|message| message.action != Verb::Allow);
    let undo = |(at, message): (usize, Message)| Message {
        action: if message.action == Verb::Contain { Verb::Restore } else { Verb::Allow },
        target: message.target,
        args: Some(Args { response_requested: Some("complete".into()), ..Args::default() }),
        actuator: message.actuator,
        command_id: Some(format!("{}.undo.{at}", command.id)),
    };
    denied.enumerate().map(undo).collect()
}

/// Reads back what [`messages`] wrote.
///
/// # Errors
/// [`OpenC2Error`] where the messages are not whole, or their own part and their standard part differ.
pub fn command(messages: &[Message]) -> Result<Command, OpenC2Error> {
    let last = match messages {
        [.., last] if messages.len() <= MAX_MESSAGES => last,
        other => return Err(OpenC2Error::Count(other.len())),
    };
    let id = last.command_id.as_deref().unwrap_or_default();
    let id: CommandId = id.parse().map_err(OpenC2Error::Id)?;
    let own = last.args.as_ref().and_then(|args| args.own.as_ref()).ok_or(OpenC2Error::Field {
        field: "args.x-bastide",
        expected: "the command in our words, in the last message",
        found: "none".into(),
    })?;
    let command = Command {
        id,
        action: own.does.clone(),
        on: own.on.clone(),
        why: own.why.clone(),
        hits: own.hits.clone(),
        created: own.created,
        expires: own.expires,
        inverse: own.inverse.clone(),
        kind: own.kind.clone(),
    };
    // What another maker's consumer would do with these messages has to be what we would do.
    if self::messages(&command) == messages { Ok(command) } else { Err(OpenC2Error::Differs) }
}

/// Reads a message of another producer: `deny` on a single host with an end becomes what to block and until when.
///
/// # Errors
/// [`OpenC2Error`] with the field that cannot be carried out.
pub fn foreign_block(message: &Message, now: Timestamp) -> Result<(IpAddr, Timestamp), OpenC2Error> {
    let refuse = |field, expected, found: String| Err(OpenC2Error::Field { field, expected, found });
    if message.action != Verb::Deny {
        return refuse("action", "deny", format!("{:?}", message.action).to_lowercase());
    }
    let (Object::Ipv4Net(net) | Object::Ipv6Net(net)) = &message.target else {
        return refuse("target", "ipv4_net or ipv6_net", "something else".into());
    };
    let parsed: Option<model::Net> = net.parse().ok();
    let host = parsed.filter(|net| net.prefix() == if net.address().is_ipv4() { 32 } else { 128 });
    let Some(host) = host else {
        return refuse(
            "target",
            "a single host, for Bastide blocks no networks",
            net.chars().take(64).collect(),
        );
    };
    let args = message.args.clone().unwrap_or_default();
    let start = args.start_time.map_or(now, millis);
    let end = match (args.stop_time, args.duration) {
        (Some(stop), None) => millis(stop),
        (None, Some(duration)) => start.plus_micros(duration.max(0).saturating_mul(1_000)),
        (None, None) => {
            return refuse("args", "stop_time or duration, for every command ends", "neither".into());
        }
        (Some(_), Some(_)) => return refuse("args", "stop_time or duration", "both".into()),
    };
    if end <= now {
        return refuse("args.stop_time", "a moment to come", end.to_string());
    }
    if start > now {
        return refuse("args.start_time", "now or before", start.to_string());
    }
    Ok((host.address(), end))
}

fn args(command: &Command, action: Verb, at: usize, last: bool) -> Args {
    let own = last.then(|| {
        Box::new(Own {
            does: command.action.clone(),
            on: command.on.clone(),
            why: command.why.clone(),
            hits: command.hits.clone(),
            created: command.created,
            expires: command.expires,
            inverse: command.inverse.clone(),
            kind: command.kind.clone(),
        })
    });
    let deny = action == Verb::Deny;
    Args {
        start_time: Some(command.created.micros().div_euclid(1_000)),
        stop_time: Some(command.expires.micros().div_euclid(1_000)),
        duration: None,
        response_requested: Some("complete".into()),
        slpf: (action != Verb::Contain).then(|| SlpfArgs {
            drop_process: deny.then(|| "none".into()),
            persistent: Some(false),
            direction: Some("both".into()),
            insert_rule: u32::try_from(at + 1).ok(),
        }),
        own,
    }
}

fn millis(value: i64) -> Timestamp {
    Timestamp::from_micros(value.saturating_mul(1_000))
}

fn device(id: &str) -> Object {
    Object::Device(Device { device_id: id.to_owned() })
}

fn host(address: IpAddr) -> Object {
    match address {
        IpAddr::V4(v4) => Object::Ipv4Net(format!("{v4}/32")),
        IpAddr::V6(v6) => Object::Ipv6Net(format!("{v6}/128")),
    }
}

fn pairs<'a>(own: &'a [IpAddr], others: &'a [IpAddr]) -> impl Iterator<Item = (IpAddr, IpAddr)> + 'a {
    own.iter().flat_map(move |&own| {
        others
            .iter()
            .copied()
            .filter(move |other| other.is_ipv4() == own.is_ipv4())
            .map(move |other| (own, other))
    })
}

fn connection(src: IpAddr, dst: IpAddr, protocol: Option<Protocol>, port: Option<u16>) -> Object {
    let named = |address: IpAddr| {
        let unspecified = address.is_unspecified();
        let width = if address.is_ipv4() { 32 } else { 128 };
        (!unspecified).then(|| format!("{address}/{width}"))
    };
    let protocol = protocol.and_then(|protocol| match protocol {
        Protocol::ICMP | Protocol::ICMP6 => Some("icmp".to_owned()),
        Protocol::TCP => Some("tcp".to_owned()),
        Protocol::UDP => Some("udp".to_owned()),
        Protocol::SCTP => Some("sctp".to_owned()),
        _ => None,
    });
    let ports = matches!(protocol.as_deref(), Some("tcp" | "udp" | "sctp"));
    let connection = Connection {
        src_addr: named(src),
        src_port: None,
        dst_addr: named(dst),
        dst_port: port.filter(|_| ports),
        protocol,
    };
    if dst.is_ipv4() { Object::Ipv4Connection(connection) } else { Object::Ipv6Connection(connection) }
}
