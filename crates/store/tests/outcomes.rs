//! What the settings decide, and what comes of what people decide, is in the ledger: once, and however much else is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::{copied, decided, incident, key, salts};
use ledger::{Deed, Trust};
use model::{AuthorityRole, Effect, PersonId, PersonState, Plan, PlanStatus, Receipt, Timestamp};
use store::{Actor, Decided, JournalRow, NewSession, Paging, Person, Repository, Retention};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    what_the_settings_let_run_is_approved_by_the_program_once,
    what_becomes_of_a_command_is_a_leaf_and_what_is_counted_is_none,
    the_word_of_a_person_needs_no_second_leaf,
    what_was_ordered_past_the_server_is_one_decision_for_ever,
    a_report_is_sent_with_its_leaf,
    a_session_that_is_over_ends_in_the_ledger,
    a_setting_that_changed_is_a_decision,
    an_incident_that_opens_again_says_so,
}

/// The deeds so far, and whether the program did them; the ledger that holds them verifies.
async fn deeds(repository: &Repository) -> Vec<(Deed, bool)> {
    let mut page = repository.decisions(None, Paging::new(1, 500)).await.unwrap().items;
    page.sort_by_key(|decision| decision.number);
    if !page.is_empty() {
        let trust = Trust::of(key().public(repository.authority()).unwrap());
        let verified = ledger::verify(&copied(repository).await, &trust, &[]).unwrap();
        assert_eq!(verified.witnessed.checkpoint.head.size, page.len() as u64);
    }
    page.iter().map(|decision| (decision.deed, decision.by_program)).collect()
}

fn plan(name: &str, status: PlanStatus) -> Plan {
    serde_json::from_value(serde_json::json!({
        "id": format!("plan-{name:0>16}"), "incident": incident("a").id, "made": NOW, "status": status,
        "commands": [{
            "id": "cmd-0000000000000001", "action": "block",
            "on": {"target": "remote", "address": "192.0.2.1"},
            "why": "it gives orders", "hits": [], "created": NOW, "expires": NOW.plus_secs(100),
            "inverse": "x", "kind": "camera"
        }],
        "withheld": [], "because": "the settings let it run by itself"
    }))
    .unwrap()
}

fn receipt(secs: i64, effect: Effect) -> Receipt {
    Receipt {
        command: plan("1", PlanStatus::Active).commands[0].id.clone(),
        at: NOW.plus_secs(secs),
        effect,
        packets_stopped: secs as u64,
        packets_passed: 0,
        actuator: "nftables@router".into(),
    }
}

fn by_person(deed: Deed, about: (&str, &str)) -> Decided {
    decided(deed, NOW, &[about])
}

async fn what_the_settings_let_run_is_approved_by_the_program_once(database: Database) {
    let repository = database.open().await;
    let keep = async |repository: &Repository, plan: &Plan| {
        repository.keep_plan(plan, NOW, salts()).await.unwrap();
    };
    keep(&repository, &plan("1", PlanStatus::Proposed)).await;
    keep(&repository, &plan("1", PlanStatus::Shown)).await;
    assert_eq!(deeds(&repository).await, []);
    keep(&repository, &plan("1", PlanStatus::Active)).await;
    keep(&repository, &plan("1", PlanStatus::Active)).await;
    assert_eq!(deeds(&repository).await, [(Deed::PlanApproved, true)]);
    // Told again after a restart, and of an incident that turned out to be another: nothing new was decided.
    repository.close().await;
    let repository = database.open().await;
    keep(&repository, &Plan { incident: incident("b").id, ..plan("1", PlanStatus::Active) }).await;
    assert_eq!(deeds(&repository).await, [(Deed::PlanApproved, true)]);
    let decision = repository.decisions(None, Paging::default()).await.unwrap().items.remove(0);
    let about: Vec<String> = decision.about.iter().map(|subject| subject.as_str().to_owned()).collect();
    assert_eq!(about, ["plan:plan-0000000000000001".to_owned(), format!("incident:{}", incident("a").id)]);
    let details = decision.details.unwrap();
    assert!(details.contains("block 192.0.2.1") && details.contains("it gives orders"), "{details}");
}

async fn what_becomes_of_a_command_is_a_leaf_and_what_is_counted_is_none(database: Database) {
    let repository = database.open().await;
    let keep = async |secs, effect| repository.keep_receipt(&receipt(secs, effect), salts()).await.unwrap();
    repository.keep_plan(&plan("1", PlanStatus::Active), NOW, salts()).await.unwrap();
    keep(1, Effect::Applied).await;
    keep(1, Effect::Applied).await;
    for secs in 2..100 {
        keep(secs, if secs % 2 == 0 { Effect::Effective } else { Effect::WithoutEffect }).await;
    }
    // Put back after a reboot, by the same plan.
    keep(50, Effect::Applied).await;
    let mut expected = vec![(Deed::PlanApproved, true), (Deed::CommandRun, true)];
    assert_eq!(deeds(&repository).await, expected);
    let decision = repository.decisions(None, Paging::default()).await.unwrap().items.remove(0);
    let about: Vec<String> = decision.about.iter().map(|subject| subject.as_str().to_owned()).collect();
    let incident = format!("incident:{}", incident("a").id);
    assert_eq!(about, ["command:cmd-0000000000000001".into(), "plan:plan-0000000000000001".into(), incident]);
    assert!(decision.details.unwrap().contains("nftables@router"));
    // The same command by a plan that reaches further is another decision; one that only waits is none.
    repository.keep_plan(&plan("2", PlanStatus::Proposed), NOW, salts()).await.unwrap();
    keep(51, Effect::Applied).await;
    assert_eq!(deeds(&repository).await, expected);
    repository.keep_plan(&plan("2", PlanStatus::Active), NOW, salts()).await.unwrap();
    keep(52, Effect::Applied).await;
    keep(53, Effect::Applied).await;
    expected.extend([(Deed::PlanApproved, true), (Deed::CommandRun, true)]);
    assert_eq!(deeds(&repository).await, expected);
    for (effect, deed) in [
        (Effect::Expired, Deed::CommandExpired),
        (Effect::Applied, Deed::CommandRun),
        (Effect::Undone, Deed::CommandUndone),
        (Effect::Failed { reason: "no such table".into() }, Deed::CommandFailed),
    ] {
        keep(60, effect.clone()).await;
        keep(61, effect).await;
        expected.push((deed, true));
        assert_eq!(deeds(&repository).await, expected);
    }
    // A command that no plan is known of is told all the same.
    let unknown = Receipt { command: "cmd-00000000000000ff".parse().unwrap(), ..receipt(1, Effect::Applied) };
    repository.keep_receipt(&unknown, salts()).await.unwrap();
    expected.push((Deed::CommandRun, true));
    assert_eq!(deeds(&repository).await, expected);
}

async fn the_word_of_a_person_needs_no_second_leaf(database: Database) {
    let repository = database.open().await;
    let (plan, command) = (plan("1", PlanStatus::Active), receipt(1, Effect::Applied).command);
    repository.decide(by_person(Deed::PlanApproved, ("plan", plan.id.as_str()))).await.unwrap();
    repository.keep_plan(&plan, NOW, salts()).await.unwrap();
    repository.keep_receipt(&receipt(1, Effect::Applied), salts()).await.unwrap();
    repository.decide(by_person(Deed::CommandUndone, ("command", command.as_str()))).await.unwrap();
    repository.keep_receipt(&receipt(2, Effect::Undone), salts()).await.unwrap();
    let mut expected =
        vec![(Deed::PlanApproved, false), (Deed::CommandRun, true), (Deed::CommandUndone, false)];
    assert_eq!(deeds(&repository).await, expected);
    // What they decided and nobody could be told of was not what put it in force, or took it back.
    for (deed, about) in [
        (Deed::PlanApproved, ("plan", plan.id.as_str())),
        (Deed::CommandUndone, ("command", command.as_str())),
    ] {
        repository.decide(by_person(deed, about)).await.unwrap();
        repository.decide(by_person(Deed::NotCarriedOut, about)).await.unwrap();
        expected.extend([(deed, false), (Deed::NotCarriedOut, false)]);
    }
    repository.keep_plan(&plan, NOW, salts()).await.unwrap();
    repository.keep_receipt(&receipt(3, Effect::Undone), salts()).await.unwrap();
    expected.extend([(Deed::PlanApproved, true), (Deed::CommandUndone, true)]);
    assert_eq!(deeds(&repository).await, expected);
}

async fn what_was_ordered_past_the_server_is_one_decision_for_ever(database: Database) {
    let repository = database.open().await;
    let row = JournalRow { seq: 7, at: NOW, hash: "ab".repeat(32), entry: serde_json::json!({"who": "ada"}) };
    let stopped = || Decided {
        who: Actor::Machine("ada (command line)".into()),
        ..decided(Deed::RespondingStopped, NOW, &[])
    };
    for _ in 0..2 {
        repository.keep_journalled(&row, stopped()).await.unwrap();
    }
    let decision = repository.decisions(None, Paging::default()).await.unwrap().items.remove(0);
    assert_eq!((decision.by_program, decision.who.as_deref()), (false, Some("ada (command line)")));
    assert_eq!(decision.about[0].as_str(), format!("journal:{}", row.hash));
    assert_eq!(repository.journal(Paging::default()).await.unwrap().total, 1);
    let days =
        Retention { incident_days: 1, asset_days: 1, journal_days: 1, counter_days: 1, most_bytes: u64::MAX };
    repository.sweep(&days, NOW.plus_secs(10 * 86_400)).await.unwrap();
    repository.keep_journalled(&row, stopped()).await.unwrap();
    assert_eq!(repository.journal(Paging::default()).await.unwrap().total, 0);
    assert_eq!(deeds(&repository).await, [(Deed::RespondingStopped, false)]);
}

async fn a_report_is_sent_with_its_leaf(database: Database) {
    let repository = database.open().await;
    for name in ["a", "b"] {
        repository.keep_incident(&incident(name), &["webhook"], NOW).await.unwrap();
    }
    let waiting = repository.outgoing("webhook", NOW, 10).await.unwrap();
    let sent = || Decided { who: Actor::Program, ..decided(Deed::ReportSent, NOW, &[]) };
    repository.outgoing_done(waiting[0].seq, None).await.unwrap();
    assert_eq!(deeds(&repository).await, []);
    for _ in 0..2 {
        repository.outgoing_done(waiting[1].seq, Some(sent())).await.unwrap();
    }
    assert_eq!(deeds(&repository).await, [(Deed::ReportSent, true)]);
    // Where the leaf cannot be written, it counts as not sent.
    repository.keep_incident(&incident("c"), &["webhook"], NOW).await.unwrap();
    let waiting = repository.outgoing("webhook", NOW, 10).await.unwrap();
    database.sql("DROP TABLE opening").await;
    assert!(repository.outgoing_done(waiting[0].seq, Some(sent())).await.is_err());
    assert_eq!(repository.outgoing_waiting("webhook").await.unwrap(), 1);
}

async fn a_session_that_is_over_ends_in_the_ledger(database: Database) {
    let repository = database.open().await;
    let ada = Person {
        authority: repository.authority().clone(),
        id: PersonId::from_random([1; 16]),
        login: "ada".parse().unwrap(),
        name: "Ada".into(),
        state: PersonState::Active,
        made: NOW,
    };
    let invited = decided(Deed::PersonInvited, NOW, &[]);
    assert!(repository.add_person(&ada, &[AuthorityRole::Auditor], invited).await.unwrap());
    for (hash, secs) in [("short", 100), ("long", 10_000)] {
        let session = NewSession {
            hash: hash.into(),
            method: "passkey",
            device: "Firefox on Linux".into(),
            place: "192.0.2.7".into(),
            made: NOW,
            expires: NOW.plus_secs(secs),
        };
        assert!(repository.open_session(&ada.id, session, salts()).await.unwrap());
    }
    let days =
        Retention { incident_days: 1, asset_days: 1, journal_days: 1, counter_days: 1, most_bytes: u64::MAX };
    for secs in [99, 101, 101] {
        repository.sweep(&days, NOW.plus_secs(secs)).await.unwrap();
    }
    let expected = [
        (Deed::PersonInvited, false),
        (Deed::SignedIn, false),
        (Deed::SignedIn, false),
        (Deed::SessionEnded, true),
    ];
    assert_eq!(deeds(&repository).await, expected);
    let ended = repository.decisions(None, Paging::default()).await.unwrap().items.remove(0);
    assert_eq!((ended.at, ended.about[0].as_str()), (NOW.plus_secs(100), &*format!("person:{}", ada.id)));
}

async fn a_setting_that_changed_is_a_decision(database: Database) {
    let repository = database.open().await;
    let mut expected = Vec::new();
    for (value, changes) in [("ask", true), ("ask", false), ("auto", true), ("ask", true), ("", true)] {
        let decided = Decided { who: Actor::Program, ..decided(Deed::SettingsChanged, NOW, &[]) };
        let changed = repository.decide_setting("settings in force", value, decided).await.unwrap();
        assert_eq!(changed, changes, "{value}");
        assert_eq!(repository.setting("settings in force").await.unwrap().as_deref(), Some(value));
        expected.extend(changes.then_some((Deed::SettingsChanged, true)));
    }
    assert_eq!(deeds(&repository).await, expected);
}

async fn an_incident_that_opens_again_says_so(database: Database) {
    let repository = database.open().await;
    let mut known = incident("a");
    repository.keep_incident(&known, &[], NOW).await.unwrap();
    let closed = store::Closed { at: NOW, by: "jean".into(), reason: "seen".into() };
    let deed = by_person(Deed::IncidentClosed, ("incident", known.id.as_str()));
    let resolved = store::IncidentState::Resolved;
    assert!(repository.close_incident(&known.id, resolved, &closed, &[], deed).await.unwrap());
    for findings in 3..20 {
        known.findings = findings;
        known.last = known.last.plus_secs(1);
        repository.keep_incident(&known, &[], NOW).await.unwrap();
    }
    assert_eq!(deeds(&repository).await, [(Deed::IncidentClosed, false), (Deed::IncidentReopened, true)]);
}
