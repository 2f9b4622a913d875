//! The facts of an early warning by NIS2 (Directive (EU) 2022/2555), Art. 23(4)(a): due within 24 hours of becoming
//! aware of a significant incident, saying whether it is suspected of being caused by unlawful or malicious acts and
//! whether it could have a cross-border impact.
//!
//! Guarantees: a draft only. Nothing is claimed that traffic cannot show: whether the incident is significant, in which
//! countries somebody is and whom to ask are left to a person.

use crate::{Context, words};
use model::{Incident, IncidentAsset, Role, Severity, Tactic, Timestamp};

/// The first warning is due this long after somebody became aware.
const DUE_SECS: i64 = 24 * 3_600;
/// Addresses named in a row.
const MOST_NAMED: usize = 6;

/// A draft about one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyWarning {
    /// The incident's id.
    pub incident: String,
    /// The incident's title.
    pub title: String,
    /// The form's rows, in its order.
    pub rows: Vec<Row>,
}

/// One row of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is asked.
    pub asked: &'static str,
    /// What is known; empty where only a person can say.
    pub known: String,
    /// What a person has to fill in; empty where nothing.
    pub fill_in: &'static str,
}

/// The draft about an incident, as known at `made`. `None` below medium: nothing then suggests that one is due.
#[must_use]
pub fn early_warning(incident: &Incident, made: Timestamp, context: &Context) -> Option<EarlyWarning> {
    if incident.severity < Severity::Medium {
        return None;
    }
    let row = |asked, known: String, fill_in| Row { asked, known, fill_in };
    let rows = vec![
        row("Entity that notifies", String::new(), "name, sector, registration number"),
        row("Contact for questions, day and night", String::new(), "name, telephone, e-mail"),
        row("Became aware", String::new(), "date and time, UTC"),
        row(
            "Early warning due",
            format!(
                "within 24 h of becoming aware; if that was when this draft was made ({} UTC), by {} UTC",
                words::moment(made),
                words::moment(made.plus_secs(DUE_SECS))
            ),
            "",
        ),
        row("What happened", crate::with_names(&incident.summary, &context.names), ""),
        row("When", format!("{} (what was seen of it)", words::between(incident.first, incident.last)), ""),
        row("Suspected of being caused by unlawful or malicious acts?", malicious(incident), ""),
        row(
            "Could it have a cross-border impact?",
            cross_border(incident, context),
            "countries and parties, as far as known",
        ),
        row("Affected systems", affected(incident, context), ""),
        row("Affected services", String::new(), "what citizens or others cannot use, since when, how many"),
        row(
            "Significant (Art. 23(3))?",
            format!("severity {}: {}", incident.severity, harm(incident)),
            "severe disruption or financial loss, or considerable damage to others: yes or no",
        ),
        row("Done so far", done(incident, context), "other measures; help asked of the CSIRT"),
    ];
    Some(EarlyWarning {
        incident: incident.id.to_string(),
        title: crate::titled(&incident.title, &context.names),
        rows,
    })
}

fn malicious(incident: &Incident) -> String {
    let techniques: Vec<&str> = incident.techniques.iter().map(|technique| technique.0.as_ref()).collect();
    let stages: Vec<&str> = incident.stages.iter().map(|stage| words::stage_means(*stage)).collect();
    let kinds =
        if techniques.is_empty() { String::new() } else { format!(" (ATT&CK {})", techniques.join(", ")) };
    format!(
        "Yes, {} ({} %): what was seen is {}{kinds}.",
        words::sureness(incident.confidence),
        incident.confidence,
        stages.join(", ")
    )
}

fn cross_border(incident: &Incident, context: &Context) -> String {
    let outside: Vec<&IncidentAsset> = incident.assets.iter().filter(|asset| !asset.home).collect();
    if outside.is_empty() {
        let harmed = incident.assets.iter().any(|asset| asset.role == Role::Victim);
        return if harmed {
            "Cannot be told: the senders' addresses could be forged, so that nobody outside is named.".into()
        } else {
            "No party outside our own networks is named in it.".into()
        };
    }
    let harmed: Vec<&IncidentAsset> = outside
        .iter()
        .copied()
        .filter(|asset| matches!(asset.role, Role::Victim | Role::Target | Role::Reflector))
        .collect();
    let more = if incident.assets_omitted > 0 { " More parties than these are in the incident." } else { "" };
    if harmed.is_empty() {
        format!(
            "Possible: it was done from or with addresses outside ({}). Addresses do not tell countries.{more}",
            named(&outside, context)
        )
    } else {
        format!(
            "Possible: others outside were harmed or aimed at ({}). Addresses do not tell countries.{more}",
            named(&harmed, context)
        )
    }
}

fn affected(incident: &Incident, context: &Context) -> String {
    let ours: Vec<&IncidentAsset> = incident.assets.iter().filter(|asset| asset.home).collect();
    if ours.is_empty() {
        return "None of ours is named in it.".into();
    }
    let more = if incident.assets_omitted > 0 {
        format!(
            "; {} of the incident are not listed here",
            words::counted(incident.assets_omitted, "party", "parties")
        )
    } else {
        String::new()
    };
    let mut parts = Vec::new();
    for role in
        [Role::Infected, Role::Victim, Role::Reflector, Role::Target, Role::Attacker, Role::Controller]
    {
        let these: Vec<&IncidentAsset> = ours.iter().copied().filter(|asset| asset.role == role).collect();
        if !these.is_empty() {
            parts.push(format!("{role}: {}", named(&these, context)));
        }
    }
    format!("{}{more}", parts.join("; "))
}

fn named(assets: &[&IncidentAsset], context: &Context) -> String {
    let mut names: Vec<String> = assets
        .iter()
        .take(MOST_NAMED)
        .map(|asset| match context.names.get(&asset.address) {
            Some(name) => format!("{name} ({})", asset.address),
            None => asset.address.to_string(),
        })
        .collect();
    let more = assets.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

fn harm(incident: &Incident) -> &'static str {
    let ours = |role| incident.assets.iter().any(|asset| asset.home && asset.role == role);
    if !incident.stages.contains(&Tactic::Impact) {
        "no harm by floods or interruption was seen"
    } else if ours(Role::Victim) {
        "a service of ours was under attack"
    } else if ours(Role::Infected) || ours(Role::Attacker) {
        "a device of ours did harm to others"
    } else if ours(Role::Reflector) {
        "a service of ours was used to harm others"
    } else {
        "harm was seen"
    }
}

fn done(incident: &Incident, context: &Context) -> String {
    let acts: Vec<String> = context
        .acts
        .iter()
        .filter(|act| act.incident.as_ref().is_none_or(|id| *id == incident.id))
        .take(MOST_NAMED)
        .map(|act| format!("{} UTC: {} by {} ({})", words::moment(act.at), act.what, act.who, act.effect))
        .collect();
    if acts.is_empty() { "Nothing by Bastide.".into() } else { acts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ContentHasher, IncidentId, Proof};

    fn incident(severity: Severity, assets: &[(&str, Role, bool)]) -> Incident {
        let asset = |(address, role, home): &(&str, Role, bool)| IncidentAsset {
            address: address.parse().unwrap(),
            mac: None,
            role: *role,
            proof: Proof::None,
            home: *home,
        };
        Incident {
            id: IncidentId::from_content(ContentHasher::new()),
            title: "t".into(),
            severity,
            confidence: 85,
            stages: vec![Tactic::Impact],
            techniques: Vec::new(),
            first: Timestamp::from_secs(0),
            last: Timestamp::from_secs(1),
            assets: assets.iter().map(asset).collect(),
            assets_omitted: 0,
            findings: 1,
            flows: 1,
            summary: "s".into(),
            joined: Vec::new(),
            evidence: Vec::new(),
            advice: Vec::new(),
            supersedes: Vec::new(),
        }
    }

    #[test]
    fn nothing_is_claimed_that_traffic_cannot_show() {
        let check = |assets: &[(&str, Role, bool)], asked: &str, expected: &str| {
            let draft = early_warning(
                &incident(Severity::High, assets),
                Timestamp::from_secs(0),
                &Context::default(),
            )
            .unwrap();
            let row = draft.rows.iter().find(|row| row.asked.contains(asked)).unwrap();
            assert!(row.known.contains(expected), "{asked}: {}", row.known);
        };
        let ours = ("10.0.0.7", Role::Victim, true);
        check(&[ours], "cross-border", "Cannot be told");
        check(&[("10.0.0.7", Role::Infected, true)], "cross-border", "No party outside");
        check(
            &[ours, ("198.51.100.1", Role::Attacker, false)],
            "cross-border",
            "with addresses outside (198.51.100.1)",
        );
        check(
            &[("10.0.0.7", Role::Infected, true), ("198.51.100.53", Role::Victim, false)],
            "cross-border",
            "others outside",
        );
        check(&[("10.0.0.7", Role::Infected, true)], "Significant", "a device of ours did harm to others");
        check(&[ours], "due", "by 1970-01-02 00:00:00 UTC");
        for row in ["Entity", "Contact", "Became aware", "services"] {
            check(&[ours], row, "");
        }
        assert_eq!(
            early_warning(&incident(Severity::Low, &[ours]), Timestamp::from_secs(0), &Context::default()),
            None
        );
    }
}
