//! What a command does, in the words of its button: `Isolate cam-07 for 1 h`.

use crate::{clipped, words};
use model::{Action, Command, Effect, Target};
use std::{collections::BTreeMap, net::IpAddr};

/// Names by address.
pub type Names = BTreeMap<IpAddr, String>;

/// What to call an address: its name, where there is one.
#[must_use]
pub fn called(address: IpAddr, names: &Names) -> String {
    names.get(&address).map_or_else(|| address.to_string(), |name| clipped(name, 60))
}

/// What a command acts on, by name where there is one.
#[must_use]
pub fn target_label(target: &Target, names: &Names) -> String {
    match target {
        Target::Device { addresses, mac } => addresses
            .iter()
            .find_map(|address| names.get(address).map(|name| clipped(name, 60)))
            .or_else(|| addresses.first().map(IpAddr::to_string))
            .or_else(|| mac.map(|mac| mac.to_string()))
            .unwrap_or_else(|| "a device without an address".into()),
        Target::Remote { address } => called(*address, names),
        Target::Flow { src, dst, protocol, port } => {
            let service = port.map_or_else(|| protocol.to_string(), |port| format!("{port}/{protocol}"));
            format!("{} to {} ({service})", called(*src, names), called(*dst, names))
        }
    }
}

/// What a command does, for how long; the label of the button that does it.
#[must_use]
pub fn command_label(command: &Command, names: &Names) -> String {
    let target = target_label(&command.on, names);
    let time = words::span(command.expires.micros_since(command.created));
    match &command.action {
        Action::Isolate { .. } => format!("Isolate {target} for {time}"),
        Action::Restrict { peers } => {
            format!(
                "Restrict {target} to its {} for {time}",
                words::counted(peers.len() as u64, "declared peer", "declared peers")
            )
        }
        Action::Suspend { .. } => format!("Take the identity of {target} away until it is given back"),
        Action::Block => format!("Block {target} for {time}"),
        Action::Limit { packets_per_second } => {
            format!("Limit {target} to {} packets/s for {time}", words::count(u64::from(*packets_per_second)))
        }
    }
}

/// What all commands of a plan do, for one button.
#[must_use]
pub fn plan_label(commands: &[Command], names: &Names) -> String {
    match commands {
        [] => "Do nothing".into(),
        [one] => command_label(one, names),
        [one, two] => {
            format!("{} and {}", command_label(one, names), lower_first(&command_label(two, names)))
        }
        [one, rest @ ..] => format!("{} and do {} more", command_label(one, names), rest.len()),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// What a command came to, in a word or two.
#[must_use]
pub const fn effect_word(effect: &Effect) -> &'static str {
    match effect {
        Effect::Applied => "applied",
        Effect::Effective => "effective",
        Effect::WithoutEffect => "without effect",
        Effect::Failed { .. } => "failed",
        Effect::Undone => "undone",
        Effect::Expired => "expired",
    }
}

/// What a command came to, in a sentence with its figures.
#[must_use]
pub fn effect_means(effect: &Effect, stopped: u64, passed: u64) -> String {
    let stopped = words::counted(stopped, "packet stopped", "packets stopped");
    match effect {
        Effect::Applied => "in the firewall; no packet has tried it yet".into(),
        Effect::Effective => stopped,
        Effect::WithoutEffect => format!(
            "its packets still pass ({} seen): the actuator is not on the path",
            words::counted(passed, "packet", "packets")
        ),
        Effect::Failed { reason } => clipped(reason, 300),
        Effect::Undone => format!("taken back; {stopped} while it held"),
        Effect::Expired => format!("ran out; {stopped} while it held"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{CommandId, ContentHasher, Kind, Protocol, Timestamp};

    #[test]
    fn labels_say_what_will_be_done() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let names: Names = [(address("10.0.0.7"), "cam-07".to_owned())].into();
        let command = |action: Action, on: Target, secs: i64| Command {
            id: CommandId::from_content(ContentHasher::new()),
            action,
            on,
            why: String::new(),
            hits: Vec::new(),
            created: Timestamp::from_secs(100),
            expires: Timestamp::from_secs(100 + secs),
            inverse: String::new(),
            kind: Kind::unknown(),
        };
        let device = |text| Target::Device { addresses: vec![address(text)], mac: None };
        let remote = Target::Remote { address: address("203.0.113.66") };
        let flow = Target::Flow {
            src: address("10.0.0.7"),
            dst: address("198.51.100.53"),
            protocol: Protocol::UDP,
            port: Some(53),
        };
        let isolate = command(Action::Isolate { keep: Vec::new() }, device("10.0.0.7"), 3_600);
        let block = command(Action::Block, remote, 5_400);
        let check = |command: &Command, expected: &str| assert_eq!(command_label(command, &names), expected);
        check(&isolate, "Isolate cam-07 for 1 h");
        check(&block, "Block 203.0.113.66 for 1 h 30 min");
        check(
            &command(Action::Restrict { peers: vec![address("10.0.0.1")] }, device("10.0.0.9"), 60),
            "Restrict 10.0.0.9 to its 1 declared peer for 1 min",
        );
        check(
            &command(Action::Limit { packets_per_second: 1_000 }, flow, 900),
            "Limit cam-07 to 198.51.100.53 (53/udp) to 1\u{202f}000 packets/s for 15 min",
        );
        assert_eq!(plan_label(&[], &names), "Do nothing");
        let both = [isolate, block];
        assert_eq!(plan_label(&both, &names), "Isolate cam-07 for 1 h and block 203.0.113.66 for 1 h 30 min");
        let three = [both[0].clone(), both[1].clone(), both[1].clone()];
        assert_eq!(plan_label(&three, &names), "Isolate cam-07 for 1 h and do 2 more");
    }
}
