//! Whom a command will hit, and what they would lose, from recent flows.
//!
//! Guarantees: the worst comes first; bounded; the flows of the attack itself are nobody's loss.

use crate::{plan::Context, talks::Talk};
use model::{Action, Asset, Criticality, Hit, Incident, Kind, Role, Service, Target};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// The most that are listed for one command.
pub(crate) const MAX_HITS: usize = 48;

/// What a device loses itself, and everybody who talks with it.
pub(crate) fn of_device(
    asset: &Asset,
    addresses: &[IpAddr],
    action: &Action,
    incident: &Incident,
    context: &Context<'_>,
) -> Vec<Hit> {
    let kept: &[IpAddr] = match action {
        Action::Isolate { keep: kept } | Action::Restrict { peers: kept } => kept,
        Action::Block | Action::Limit { .. } | Action::Suspend { .. } => &[],
    };
    let peers = peers_of(addresses, incident, context, |talk| {
        let peer = if addresses.contains(&talk.src) { talk.dst } else { talk.src };
        !kept.contains(&peer)
    });
    let mut hits: Vec<Hit> =
        peers.into_iter().map(|(peer, loses)| hit(peer, lines(loses), context)).collect();
    sort(&mut hits);
    let more = hits.len().saturating_sub(MAX_HITS - 1);
    hits.truncate(MAX_HITS - 1);
    let mut loses = match action {
        Action::Restrict { .. } => "everything but its declared peers".to_owned(),
        _ => "everything but DHCP, names, time and Bastide".to_owned(),
    };
    if more > 0 {
        loses = format!("{loses}; {more} more who talk with it are not listed");
    }
    let own = Hit {
        address: addresses.first().copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
        name: Some(asset.label()),
        kind: asset.kind.clone(),
        criticality: asset.criticality,
        loses,
    };
    hits.insert(0, own);
    hits
}

/// Everybody of ours who talks with a remote address.
pub(crate) fn of_remote(address: IpAddr, incident: &Incident, context: &Context<'_>) -> Vec<Hit> {
    let ours = |peer: IpAddr| context.home.contains(peer) || context.directory.at(peer).is_some();
    let peers = peers_of(&[address], incident, context, |talk| {
        ours(if talk.src == address { talk.dst } else { talk.src })
    });
    let mut hits: Vec<Hit> =
        peers.into_iter().map(|(peer, loses)| hit(peer, lines(loses), context)).collect();
    sort(&mut hits);
    hits.truncate(MAX_HITS);
    hits
}

/// The victim of a flood that is limited, honest senders included.
pub(crate) fn of_victim(victim: IpAddr, on: &Target, rate: u32, context: &Context<'_>) -> Vec<Hit> {
    let mut loses = format!("what comes at it past {rate} packets per second, from honest senders too");
    if let Target::Flow { protocol, port: Some(port), .. } = on {
        loses = format!("{loses} ({port}/{protocol})");
    }
    vec![hit(victim, loses, context)]
}

/// A talk in words, such as `3 flows to 1883/tcp (mqtt)`.
pub(crate) fn flows(talk: &Talk) -> String {
    let flows = if talk.flows == 1 { "1 flow".into() } else { format!("{} flows", talk.flows) };
    let service = if talk.service == Service::Unknown {
        String::new()
    } else {
        format!(" ({})", talk.service.as_str())
    };
    if talk.protocol.is_icmp() {
        format!("{flows} of {}", talk.protocol)
    } else {
        format!("{flows} to {}/{}{service}", talk.port, talk.protocol)
    }
}

/// Who talks with the target, with a line per service. Whom the incident names counts only where the relation is
/// older than the attack, and attackers and controllers never count.
fn peers_of(
    addresses: &[IpAddr],
    incident: &Incident,
    context: &Context<'_>,
    wanted: impl Fn(&Talk) -> bool,
) -> BTreeMap<IpAddr, BTreeSet<String>> {
    let mut peers: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    for talk in addresses.iter().flat_map(|&address| context.talks.of(address)).filter(|talk| wanted(talk)) {
        let outward = addresses.contains(&talk.src);
        let peer = if outward { talk.dst } else { talk.src };
        if addresses.contains(&peer) {
            continue;
        }
        let older = talk.first < incident.first;
        let counts = match incident.assets.iter().find(|asset| asset.address == peer).map(|asset| asset.role)
        {
            Some(Role::Attacker | Role::Controller) => false,
            Some(_) => older,
            // What a remote address opened during the attack is the attack.
            None => {
                older
                    || !outward
                    || incident.assets.iter().any(|asset| asset.home && addresses.contains(&asset.address))
            }
        };
        if counts {
            let direction = if outward { "from it" } else { "with it" };
            peers.entry(peer).or_default().insert(format!("{} {direction}", flows(talk)));
        }
    }
    peers
}

fn lines(loses: BTreeSet<String>) -> String {
    loses.into_iter().collect::<Vec<_>>().join(", ")
}

fn hit(address: IpAddr, loses: String, context: &Context<'_>) -> Hit {
    let asset = context.directory.at(address);
    let ours = asset.is_some() || context.home.contains(address);
    Hit {
        address,
        name: asset.and_then(|asset| asset.name.clone()),
        kind: asset.map_or_else(
            || if ours { Kind::unknown() } else { Kind("outside".into()) },
            |asset| asset.kind.clone(),
        ),
        criticality: asset.map_or(Criticality::Unknown, |asset| asset.criticality),
        loses,
    }
}

/// Protected assets first, then ours, then by address.
fn sort(hits: &mut [Hit]) {
    hits.sort_by_key(|hit| {
        let outside = hit.kind.as_str() == "outside";
        (outside, std::cmp::Reverse(hit.criticality), hit.address)
    });
}
