//! What a foreign rule's name, class and metadata say: how bad, at which stage, and whether it is an attack at all.
//!
//! Nothing is critical by a rule's name alone. Words are those of Suricata's `classification.config` and of the
//! groups in which the public rule sets name their rules (`ET SCAN ...`, `GPL ICMP_INFO ...`).

use model::{Severity, Tactic, Technique};
use parse::log::eve::Alert;

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) severity: Severity,
    pub(super) reputation: bool,
    pub(super) noise: bool,
    pub(super) tactic: Option<Tactic>,
    pub(super) technique: Option<Technique>,
}

pub(super) fn judge(alert: &Alert) -> Verdict {
    let name = alert.signature.to_lowercase();
    let group = group(&name);
    let category = alert.category.to_lowercase();
    let reputation = is_reputation(&name, group, &alert.tags);
    let noise = !reputation && is_noise(&name, group, &category);
    let stated = match alert.severity {
        0 | 1 => Severity::High,
        2 => Severity::Medium,
        3 => Severity::Low,
        _ => Severity::Info,
    };
    let severity = match (noise, reputation) {
        (true, _) => Severity::Info,
        (_, true) => stated.min(Severity::Low),
        _ => stated,
    };
    let named = alert.tactics.iter().find_map(|name| tactic_named(name));
    let tactic =
        named.or_else(|| if noise { None } else { by_group(group).or_else(|| by_category(&category)) });
    let technique =
        alert.techniques.iter().find(|id| is_technique(id)).map(|id| Technique(id.clone().into()));
    Verdict { severity, reputation, noise, tactic, technique }
}

/// The word after the rule set's name: `scan` in `et scan ...`.
fn group(name: &str) -> &str {
    let mut words = name.split_whitespace();
    match words.next() {
        Some("et" | "etpro" | "etn" | "gpl" | "pt" | "ptsecurity" | "stamus" | "tgi") => {
            words.next().unwrap_or_default()
        }
        _ => "",
    }
}

/// Rules that know no more than that an address has a bad name.
fn is_reputation(name: &str, group: &str, tags: &[String]) -> bool {
    const GROUPS: [&str; 9] =
        ["cins", "compromised", "drop", "tor", "3coresec", "botcc", "ciarmy", "rbn", "dshield"];
    const PHRASES: [&str; 22] = [
        "poor reputation",
        "bad reputation",
        "ip reputation",
        "threat intelligence",
        "threat intel",
        "known compromised",
        "known hostile",
        "known malicious ip",
        "known malicious host",
        "known attacker",
        "spamhaus",
        "dshield",
        "block listed",
        "blocklist",
        "block list",
        "blacklist",
        "listed source",
        "listed traffic",
        "tor exit",
        "tor relay",
        "reported cnc server",
        "feodo tracker",
    ];
    const TAGS: [&str; 5] = ["cins", "compromised", "tor", "dshield", "3coresec"];
    GROUPS.contains(&group)
        || PHRASES.iter().any(|phrase| name.contains(phrase))
        || tags.iter().any(|tag| TAGS.iter().any(|known| tag.eq_ignore_ascii_case(known)))
}

/// Rules about the form of a protocol or about policy, not about an attack.
fn is_noise(name: &str, group: &str, category: &str) -> bool {
    const GROUPS: [&str; 11] = [
        "policy",
        "info",
        "icmp_info",
        "icmp",
        "chat",
        "games",
        "p2p",
        "file_sharing",
        "dyn_dns",
        "remote_access",
        "ja3",
    ];
    const CATEGORIES: [&str; 8] = [
        "generic protocol command decode",
        "not suspicious traffic",
        "misc activity",
        "unknown traffic",
        "generic icmp event",
        "a tcp connection was detected",
        "potential corporate privacy violation",
        "inappropriate content was detected",
    ];
    let engine = name.starts_with("suricata ");
    engine || GROUPS.contains(&group) || CATEGORIES.contains(&category) && by_group(group).is_none()
}

fn by_group(group: &str) -> Option<Tactic> {
    Some(match group {
        "scan" | "user_agents" => Tactic::Reconnaissance,
        "exploit" | "exploit_kit" | "web_server" | "web_specific_apps" | "web_client" | "activex"
        | "shellcode" | "current_events" | "phishing" => Tactic::InitialAccess,
        "attack_response" | "worm" => Tactic::Execution,
        "malware" | "trojan" | "cnc" | "mobile_malware" | "c2" | "botcc.portgrouped" => {
            Tactic::CommandAndControl
        }
        "dos" | "coinminer" => Tactic::Impact,
        _ => return None,
    })
}

/// By the class's description, or its short name.
fn by_category(category: &str) -> Option<Tactic> {
    let words = [
        ("network scan", Tactic::Reconnaissance),
        ("attempted information leak", Tactic::Reconnaissance),
        ("attempted-recon", Tactic::Reconnaissance),
        ("successful credential theft", Tactic::CredentialAccess),
        ("attempt to login", Tactic::CredentialAccess),
        ("attempted login", Tactic::CredentialAccess),
        ("suspicious username", Tactic::CredentialAccess),
        ("credential", Tactic::CredentialAccess),
        ("denial of service", Tactic::Impact),
        ("crypto currency mining", Tactic::Impact),
        ("trojan", Tactic::CommandAndControl),
        ("command and control", Tactic::CommandAndControl),
        ("domain observed used for c2", Tactic::CommandAndControl),
        ("successful administrator privilege gain", Tactic::Execution),
        ("successful user privilege gain", Tactic::Execution),
        ("executable code was detected", Tactic::Execution),
        ("privilege gain", Tactic::InitialAccess),
        ("web application attack", Tactic::InitialAccess),
        ("vulnerable web application", Tactic::InitialAccess),
        ("exploit kit", Tactic::InitialAccess),
        ("large scale information leak", Tactic::Exfiltration),
        ("sensitive data", Tactic::Exfiltration),
        ("information leak", Tactic::Reconnaissance),
    ];
    words.iter().find(|(phrase, _)| category.contains(phrase)).map(|(_, tactic)| *tactic)
}

/// A tactic as rule metadata writes it: `Initial_Access`, `initial-access`, `Initial Access`.
fn tactic_named(name: &str) -> Option<Tactic> {
    let name = name.to_lowercase().replace(['_', ' '], "-");
    let known = [
        Tactic::Reconnaissance,
        Tactic::InitialAccess,
        Tactic::Execution,
        Tactic::Persistence,
        Tactic::CredentialAccess,
        Tactic::Discovery,
        Tactic::LateralMovement,
        Tactic::CommandAndControl,
        Tactic::Exfiltration,
        Tactic::Impact,
    ];
    known.into_iter().find(|tactic| tactic.as_str() == name)
}

/// `T1110` or `T1110.001`.
fn is_technique(id: &str) -> bool {
    let Some(digits) = id.strip_prefix('T') else { return false };
    let (main, sub) = digits.split_once('.').map_or((digits, None), |(main, sub)| (main, Some(sub)));
    let number = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    number(main, 4) && sub.is_none_or(|sub| number(sub, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_apart_by_what_they_know() {
        let check = |signature: &str,
                     category: &str,
                     severity: u64,
                     expected: (Severity, bool, bool, Option<Tactic>)| {
            let alert = Alert {
                signature: signature.into(),
                category: category.into(),
                severity,
                ..Alert::default()
            };
            let verdict = judge(&alert);
            let found = (verdict.severity, verdict.reputation, verdict.noise, verdict.tactic);
            assert_eq!(found, expected, "{signature}");
        };
        use Severity::{High, Info, Low, Medium};
        use Tactic::{CommandAndControl, Impact, InitialAccess, Reconnaissance};
        check(
            "ET CINS Active Threat Intelligence Poor Reputation IP group 1",
            "Misc Attack",
            2,
            (Low, true, false, None),
        );
        check(
            "ET DROP Spamhaus DROP Listed Traffic Inbound group 2",
            "Misc Attack",
            2,
            (Low, true, false, None),
        );
        check("ET TOR Known Tor Exit Node Traffic group 8", "Misc Attack", 2, (Low, true, false, None));
        check(
            "SURICATA STREAM Packet with broken ack",
            "Generic Protocol Command Decode",
            3,
            (Info, false, true, None),
        );
        check("ET POLICY SSH session in progress", "Misc activity", 3, (Info, false, true, None));
        check(
            "ET INFO Executable Download",
            "Potential Corporate Privacy Violation",
            1,
            (Info, false, true, None),
        );
        check("A local rule", "Misc activity", 3, (Info, false, true, None));
        check(
            "ET SCAN Potential SSH Scan",
            "Attempted Information Leak",
            2,
            (Medium, false, false, Some(Reconnaissance)),
        );
        check(
            "ET MALWARE Mirai keep-alive",
            "Misc activity",
            1,
            (High, false, false, Some(CommandAndControl)),
        );
        check(
            "ET EXPLOIT_KIT Compromised site redirect",
            "Exploit Kit Activity Detected",
            1,
            (High, false, false, Some(InitialAccess)),
        );
        check("Our own rule", "Attempted Denial of Service", 2, (Medium, false, false, Some(Impact)));
        check("Our own rule", "Web Application Attack", 1, (High, false, false, Some(InitialAccess)));
        check("Our own rule", "", 1, (High, false, false, None));
    }

    #[test]
    fn metadata_comes_first() {
        let alert = Alert {
            signature: "ET SCAN something".into(),
            tactics: vec!["Nonsense".into(), "Credential_Access".into()],
            techniques: vec!["TA0006".into(), "T1110.001".into()],
            ..Alert::default()
        };
        let verdict = judge(&alert);
        assert_eq!(verdict.tactic, Some(Tactic::CredentialAccess));
        assert_eq!(verdict.technique.unwrap().to_string(), "T1110.001");
    }
}
