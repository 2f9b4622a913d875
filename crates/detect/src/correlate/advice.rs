//! What to do about an incident, most urgent first.

use super::story::Gathered;
use model::{Role, Severity, Tactic};

pub(super) fn advice(story: &Gathered<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    let named = |role: Role| {
        story.with(role).take(3).map(|asset| asset.address.to_string()).collect::<Vec<_>>().join(", ")
    };
    let infected = named(Role::Infected);
    let sure = story.worst().is_some_and(|finding| finding.severity > Severity::Low);
    let honeypot = story.worst().is_some_and(|finding| finding.detector.starts_with("honeypot-"));
    if honeypot {
        advice.push("Nothing of ours was taken: a honeypot is there to be attacked. Block what it shows at the border, and look for the same sources and files at real devices.".into());
        return advice;
    }
    if !infected.is_empty() && sure {
        advice.push(format!(
            "Isolate {infected} from the network; a protected asset only after somebody decided so."
        ));
        advice.push(format!("Restart {infected} with the network cut (many bots live in memory only), update its firmware and replace its password before it is connected again."));
    }
    let inside =
        story.with(Role::Attacker).filter(|asset| asset.home).take(3).map(|asset| asset.address.to_string());
    let inside = inside.collect::<Vec<_>>().join(", ");
    if !inside.is_empty() {
        advice.push(format!("Find out who uses {inside}, one of ours, and whether this was meant; if not, take it off the network and look into it."));
    }
    let controllers = named(Role::Controller);
    if !controllers.is_empty() && sure {
        advice.push(format!("Block {controllers} at the border and look for other devices that talk to it."));
    }
    if story.has_any(&["guessed-login", "factory-login"]) {
        advice.push(
            "Replace factory and guessed passwords on all devices of the kind, and switch telnet off.".into(),
        );
    } else if story.is(Tactic::CredentialAccess)
        && story.has_any(&["password-guessing", "password-spraying", "honeypot-guessing"])
    {
        advice.push("Make sure that the targets have passwords of their own and cannot be reached from outside where they need not be.".into());
    }
    if story.has_any(&["flood-incoming", "amplification"]) {
        advice.push("Ask the network provider to filter the flood upstream; blocking its apparent sources here helps nobody, they are forged or misused.".into());
    }
    if story.has("reflector") {
        advice
            .push("Close the service to the outside or limit its rate: it is misused against others.".into());
    }
    if story.has("flood-outgoing") {
        advice.push(
            "Limit what the device may send until it is cleaned, and tell the victim's provider.".into(),
        );
    }
    if story.has("arp-spoofing") || story.has("rogue-dhcp") {
        advice.push("Find the device by its hardware address at the switch and unplug it; renew what was typed or sent meanwhile.".into());
    }
    if story.has("dhcp-starvation") {
        advice.push("Limit new DHCP clients per switch port and find the port that they come from.".into());
    }
    if story.has("code-delivery") && infected.is_empty() {
        advice.push("Check whether the targets run what was sent to them; look for new connections of theirs afterwards.".into());
    }
    if story.has("stubborn-retries") && !sure {
        advice.push("Find out what the device tries to reach; a cloud that no longer exists is worth an update, anything else is worth a look.".into());
    }
    if story.has("unknown-device") {
        advice.push("Find the device that is on no list at the switch, by its hardware address: list it, or take it off the network.".into());
    }
    if advice.is_empty() && story.has("foreign-alert") {
        advice.push("Check at the target what the alert speaks of: its version, its logs of that minute, and new connections of its own afterwards.".into());
    }
    if advice.is_empty() {
        advice.push("Nothing came of it as far as can be seen; check that the targets are up to date and need to be reachable.".into());
    }
    advice
}
