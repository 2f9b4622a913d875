//! What the repository keeps, finds, refuses and lets go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use identify::merge::Observed;
use incidents::{asset, decided, incident, salts};
use ledger::Deed;
use model::{
    Asset, AssetStatus, AuthorityId, Criticality, Effect, Exception, Incident, Kind, Layer, Plan, PlanStatus,
    Receipt, Role, Severity, Tactic, Timestamp,
};
use store::{
    AssetFilter, AssetGroup, Closed, ExceptionRecord, IncidentFilter, IncidentSort, IncidentState, Kept,
    Paging, Repository, Retention, Source,
};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    an_incident_grows_and_never_shrinks,
    a_closed_incident_opens_again_when_it_must,
    what_turned_out_to_be_one_is_one,
    finds_by_every_filter,
    one_authority_does_not_see_another,
    messages_are_written_with_their_incident,
    beyond_what_may_wait_the_oldest_messages_go,
    exceptions_come_with_the_closing_and_end,
    a_plan_goes_with_its_incident_into_another,
    what_can_be_taken_back_is_never_swept_out,
    receipts_say_what_is_in_force,
    an_address_belongs_to_who_had_it_last,
    counters_add_up_by_the_hour,
    what_is_old_goes,
    over_the_cap_the_least_goes_first,
    what_is_too_large_is_refused_and_takes_nobody_with_it,
    writes_that_come_together_share_a_sync,
}

fn grown(name: &str, change: impl FnOnce(&mut Incident)) -> Incident {
    let mut incident = incident(name);
    change(&mut incident);
    incident
}

async fn an_incident_grows_and_never_shrinks(database: Database) {
    let repository = database.open().await;
    let keep = async |incident: &Incident| repository.keep_incident(incident, &[], NOW).await.unwrap();
    let first = incident("a");
    assert_eq!(keep(&first).await, Kept::New);
    assert_eq!(keep(&first).await, Kept::Unchanged);
    let later = grown("a", |incident| {
        incident.findings = 5;
        incident.last = Timestamp::from_secs(3_000);
    });
    assert_eq!(keep(&later).await, Kept::Changed { severity_rose: false, reopened: false });
    // A sensor that was started again reads the beginning of the story once more.
    assert_eq!(keep(&first).await, Kept::Unchanged);
    let worse = grown("a", |incident| {
        incident.findings = 6;
        incident.severity = Severity::Critical;
        incident.last = Timestamp::from_secs(3_001);
    });
    assert_eq!(keep(&worse).await, Kept::Changed { severity_rose: true, reopened: false });
    let record = repository.incident(&first.id).await.unwrap().unwrap();
    assert_eq!((record.incident, record.revision, record.opened), (worse, 3, NOW));
}

async fn a_closed_incident_opens_again_when_it_must(database: Database) {
    let repository = database.open().await;
    let close = async |state| {
        let closed = Closed { at: NOW, by: "administrator".into(), reason: "a test".into() };
        assert!(
            repository
                .close_incident(
                    &incident("a").id,
                    state,
                    &closed,
                    &[],
                    decided(Deed::IncidentClosed, NOW, &[])
                )
                .await
                .unwrap()
        );
    };
    let goes_on = |findings, severity| {
        grown("a", |incident| {
            incident.findings = findings;
            incident.severity = severity;
            incident.last = Timestamp::from_secs(3_000 + findings as i64);
        })
    };
    let keep = async |incident: &Incident| repository.keep_incident(incident, &[], NOW).await.unwrap();
    let state = async || repository.incident(&incident("a").id).await.unwrap().unwrap().state;
    keep(&incident("a")).await;

    close(IncidentState::FalseAlarm).await;
    assert_eq!(
        keep(&goes_on(3, Severity::High)).await,
        Kept::Changed { severity_rose: false, reopened: false }
    );
    assert_eq!(state().await, IncidentState::FalseAlarm);
    assert_eq!(
        keep(&goes_on(4, Severity::Critical)).await,
        Kept::Changed { severity_rose: true, reopened: true }
    );
    assert_eq!(state().await, IncidentState::Open);

    close(IncidentState::Resolved).await;
    assert_eq!(
        keep(&goes_on(5, Severity::Critical)).await,
        Kept::Changed { severity_rose: false, reopened: true }
    );
    let record = repository.incident(&incident("a").id).await.unwrap().unwrap();
    assert_eq!((record.state, record.closed), (IncidentState::Open, None));
}

async fn what_turned_out_to_be_one_is_one(database: Database) {
    let repository = database.open().await;
    let keep = async |incident: &Incident| repository.keep_incident(incident, &[], NOW).await.unwrap();
    keep(&incident("a")).await;
    keep(&incident("b")).await;
    let both = grown("a", |both| {
        both.findings = 7;
        both.supersedes = vec![incident("b").id, both.id.clone()];
    });
    keep(&both).await;
    let state = async |name| {
        let record = repository.incident(&incident(name).id).await.unwrap().unwrap();
        (record.state, record.closed.map(|closed| closed.reason))
    };
    assert_eq!(state("a").await, (IncidentState::Open, None));
    assert_eq!(state("b").await, (IncidentState::Merged, Some(format!("it is part of {} now", both.id))));
    assert_eq!(repository.open_incidents().await.unwrap().high, 1);
}

async fn finds_by_every_filter(database: Database) {
    let repository = database.open().await;
    for (name, severity, last, address) in [
        ("a", Severity::Low, 100, "10.0.0.1"),
        ("b", Severity::High, 300, "10.0.0.2"),
        ("c", Severity::Medium, 200, "2001:db8::1"),
    ] {
        let incident = grown(name, |incident| {
            incident.severity = severity;
            incident.first = Timestamp::from_secs(last - 50);
            incident.last = Timestamp::from_secs(last);
            incident.assets = vec![asset(address, Role::Infected)];
            incident.title = format!("100% _{name}\\ found");
            incident.stages = if name == "a" { vec![Tactic::Discovery] } else { vec![Tactic::Impact] };
        });
        repository.keep_incident(&incident, &[], NOW).await.unwrap();
    }
    let check = async |filter: IncidentFilter, expected: &[&str]| {
        let page = repository.incidents(&filter, Paging::default()).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|record| record.incident.title[6..7].to_owned()).collect();
        assert_eq!(names, expected, "{filter:?}");
        assert_eq!(page.total, expected.len() as u64, "{filter:?}");
    };
    let all = IncidentFilter::default;
    check(all(), &["b", "c", "a"]).await;
    check(IncidentFilter { sort: IncidentSort::Oldest, ..all() }, &["a", "c", "b"]).await;
    check(IncidentFilter { sort: IncidentSort::Severity, ..all() }, &["b", "c", "a"]).await;
    check(IncidentFilter { severity: Some(Severity::Medium), ..all() }, &["b", "c"]).await;
    check(IncidentFilter { stage: Some(Tactic::Discovery), ..all() }, &["a"]).await;
    check(IncidentFilter { stage: Some(Tactic::Impact), ..all() }, &["b", "c"]).await;
    check(IncidentFilter { address: Some("2001:db8:0::1".parse().unwrap()), ..all() }, &["c"]).await;
    check(IncidentFilter { state: Some(IncidentState::FalseAlarm), ..all() }, &[]).await;
    check(IncidentFilter { from: Some(Timestamp::from_secs(200)), ..all() }, &["b", "c"]).await;
    check(IncidentFilter { until: Some(Timestamp::from_secs(151)), ..all() }, &["c", "a"]).await;
    for (text, expected) in [
        ("100% _B\\", &["b"][..]),
        ("10.0.0.", &["b", "a"]),
        ("%", &["b", "c", "a"]),
        ("a%", &[]),
        ("' OR 1=1 --", &[]),
    ] {
        check(IncidentFilter { text: Some(text.into()), ..all() }, expected).await;
    }
    let page = repository.incidents(&all(), Paging::new(2, 2)).await.unwrap();
    assert_eq!((page.items.len(), page.total, page.pages()), (1, 3, 2));
    assert_eq!(repository.open_incidents().await.unwrap().of(Severity::High), 1);
}

async fn one_authority_does_not_see_another(database: Database) {
    let repository = database.open().await;
    let other = repository.of("elsewhere".parse().unwrap());
    let incident = incident("a");
    repository.keep_incident(&incident, &["webhook"], NOW).await.unwrap();
    repository.decide(decided(Deed::PlanApproved, NOW, &[])).await.unwrap();
    assert_eq!(other.incident(&incident.id).await.unwrap(), None);
    assert_eq!(other.incidents(&IncidentFilter::default(), Paging::default()).await.unwrap().total, 0);
    assert_eq!(other.open_incidents().await.unwrap().high, 0);
    assert!(other.outgoing("webhook", NOW, 10).await.unwrap().is_empty());
    assert_eq!(other.decisions(None, Paging::default()).await.unwrap().total, 0);
    assert!(other.log().await.unwrap().is_none());
    // The same incident seen by both is two records.
    assert_eq!(other.keep_incident(&incident, &[], NOW).await.unwrap(), Kept::New);
}

async fn messages_are_written_with_their_incident(database: Database) {
    let repository = database.open().await;
    repository.keep_incident(&incident("a"), &["webhook", "syslog"], NOW).await.unwrap();
    let same_severity = grown("a", |incident| incident.findings = 9);
    repository.keep_incident(&same_severity, &["webhook", "syslog"], NOW).await.unwrap();
    let waiting = repository.outgoing("webhook", NOW, 10).await.unwrap();
    assert_eq!(waiting.iter().map(|message| message.incident.findings).collect::<Vec<_>>(), [2]);
    repository.outgoing_later(waiting[0].seq, NOW.plus_secs(5), "no answer").await.unwrap();
    assert!(repository.outgoing("webhook", NOW, 10).await.unwrap().is_empty());
    let again = repository.outgoing("webhook", NOW.plus_secs(5), 10).await.unwrap();
    assert_eq!((again[0].seq, again[0].tries), (waiting[0].seq, 1));
    repository.outgoing_done(again[0].seq, None).await.unwrap();
    assert_eq!(repository.outgoing_waiting("webhook").await.unwrap(), 0);
    assert_eq!(repository.outgoing_waiting("syslog").await.unwrap(), 1);
}

async fn beyond_what_may_wait_the_oldest_messages_go(database: Database) {
    let repository = database.open().await;
    // So many wait for one channel already; for the other, none.
    let rows = if database.is_sqlite() {
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 11000) \
         INSERT INTO outbox (authority_id, seq, channel, made, due, tries, body) \
         SELECT 'local', n, 'webhook', 0, 0, 0, '{}' FROM numbers"
    } else {
        "INSERT INTO outbox (authority_id, seq, channel, made, due, tries, body) \
         SELECT 'local', n, 'webhook', 0, 0, 0, '{}' FROM generate_series(1, 11000) AS n"
    };
    database.sql(rows).await;
    for number in 0..40 {
        let incident = incident(&number.to_string());
        repository.keep_incident(&incident, &["webhook", "syslog"], NOW).await.unwrap();
    }
    let waiting = repository.outgoing_waiting("webhook").await.unwrap();
    assert!((10_000..10_064).contains(&waiting), "{waiting}");
    assert_eq!(repository.outgoing_waiting("syslog").await.unwrap(), 40);
    assert_eq!(repository.counter_total("messages shed").await.unwrap(), 11_040 - waiting);
}

async fn exceptions_come_with_the_closing_and_end(database: Database) {
    let repository = database.open().await;
    let known = incident("a");
    let exception = Exception {
        incident: known.id.clone(),
        detector: "login-accepted".into(),
        address: "10.0.0.7".parse().unwrap(),
        peer: None,
        until: NOW.plus_secs(100),
        reason: "the installer".into(),
        who: "administrator".into(),
    };
    let closed = Closed { at: NOW, by: "administrator".into(), reason: "the installer".into() };
    let close = async |exceptions: &[Exception]| {
        let made = |exception: &Exception| {
            let record = ExceptionRecord::new(repository.authority().clone(), exception.clone(), NOW);
            let about = [("exception", record.id.as_str())];
            (record.clone(), decided(Deed::ExceptionMade, NOW, &about))
        };
        let exceptions: Vec<_> = exceptions.iter().map(made).collect();
        repository
            .close_incident(
                &known.id,
                IncidentState::FalseAlarm,
                &closed,
                &exceptions,
                decided(Deed::IncidentClosed, NOW, &[]),
            )
            .await
            .unwrap()
    };
    assert!(!close(std::slice::from_ref(&exception)).await, "there is no such incident yet");
    assert!(repository.exceptions().await.unwrap().is_empty());
    repository.keep_incident(&known, &[], NOW).await.unwrap();
    assert!(close(std::slice::from_ref(&exception)).await);
    let in_force = async |at| repository.exceptions_in_force(at).await.unwrap().len();
    assert_eq!((in_force(NOW).await, in_force(NOW.plus_secs(100)).await), (1, 0));
    let id = repository.exceptions().await.unwrap()[0].id.clone();
    assert!(repository.revoke_exception(&id, decided(Deed::ExceptionRevoked, NOW, &[])).await.unwrap());
    assert!(!repository.revoke_exception(&id, decided(Deed::ExceptionRevoked, NOW, &[])).await.unwrap());
    assert_eq!(in_force(NOW).await, 0);
}

/// A plan with one command that lasts 100 s.
fn active_plan(of: &str) -> Plan {
    serde_json::from_value(serde_json::json!({
        "id": "plan-0123456789abcdef", "incident": incident(of).id, "made": NOW, "status": "active",
        "commands": [{
            "id": "cmd-0123456789abcdef", "action": "block", "on": {"target": "remote", "address": "192.0.2.1"},
            "why": "x", "hits": [], "created": NOW, "expires": NOW.plus_secs(100), "inverse": "x", "kind": "camera"
        }],
        "withheld": [], "because": "x"
    }))
    .unwrap()
}

async fn a_plan_goes_with_its_incident_into_another(database: Database) {
    let repository = database.open().await;
    for name in ["a", "b"] {
        repository.keep_plan(&active_plan(name), NOW, salts()).await.unwrap();
    }
    assert_eq!(repository.plans_of(&incident("a").id).await.unwrap(), []);
    assert_eq!(repository.plans_of(&incident("b").id).await.unwrap().len(), 1);
}

async fn what_can_be_taken_back_is_never_swept_out(database: Database) {
    let repository = database.open().await;
    repository.keep_incident(&incident("a"), &[], NOW.plus_secs(-11 * 86_400)).await.unwrap();
    repository.keep_plan(&active_plan("a"), NOW, salts()).await.unwrap();
    for most_bytes in [u64::MAX, 1] {
        repository.sweep(&retention(10, most_bytes), NOW).await.unwrap();
        assert!(repository.incident(&incident("a").id).await.unwrap().is_some(), "{most_bytes}");
        assert!(repository.command(&active_plan("a").commands[0].id).await.unwrap().is_some());
    }
    repository.sweep(&retention(10, 1), NOW.plus_secs(101)).await.unwrap();
    assert_eq!(repository.incident(&incident("a").id).await.unwrap(), None);
}

async fn receipts_say_what_is_in_force(database: Database) {
    let repository = database.open().await;
    let plan = active_plan("a");
    repository.keep_plan(&plan, NOW, salts()).await.unwrap();
    let command = plan.commands[0].id.clone();
    let receipt = |secs, effect| Receipt {
        command: command.clone(),
        at: NOW.plus_secs(secs),
        effect,
        packets_stopped: 0,
        packets_passed: 0,
        actuator: "nftables@router".into(),
    };
    let in_force = async |secs| {
        let at = NOW.plus_secs(secs);
        let listed = repository.commands_in_force(at).await.unwrap().len() as u64;
        assert_eq!(repository.count_in_force(at).await.unwrap(), listed);
        listed
    };
    assert_eq!(in_force(0).await, 0, "nothing was applied yet");
    repository.keep_receipt(&receipt(1, Effect::Applied), salts()).await.unwrap();
    repository.keep_receipt(&receipt(1, Effect::Effective), salts()).await.unwrap();
    repository.keep_receipt(&receipt(1, Effect::Effective), salts()).await.unwrap();
    assert_eq!((in_force(2).await, in_force(100).await), (1, 0));
    let record = repository.command(&command).await.unwrap().unwrap();
    assert_eq!(
        record.receipts.iter().map(|receipt| &receipt.effect).collect::<Vec<_>>(),
        [&Effect::Applied, &Effect::Effective]
    );
    for secs in 2..200 {
        let effect = if secs < 100 { Effect::WithoutEffect } else { Effect::Effective };
        repository.keep_receipt(&receipt(secs, effect), salts()).await.unwrap();
    }
    repository.keep_receipt(&receipt(200, Effect::Undone), salts()).await.unwrap();
    assert_eq!(in_force(3).await, 0);
    let receipts = repository.receipts_of(&command).await.unwrap();
    assert!(receipts.len() <= 70, "{}", receipts.len());
    assert_eq!((&receipts[0].effect, &receipts.last().unwrap().effect), (&Effect::Applied, &Effect::Undone));
    assert_eq!(repository.plans(Some(PlanStatus::Active), Paging::default()).await.unwrap().total, 1);
    assert_eq!(repository.plans(Some(PlanStatus::Proposed), Paging::default()).await.unwrap().total, 0);
}

fn camera(id: &str, address: &str, seen: i64) -> Asset {
    Asset {
        id: id.into(),
        authority_id: AuthorityId::local(),
        layer: Layer::Device,
        kind: Kind("camera".into()),
        confidence: 80,
        reasons: vec![],
        criticality: Criticality::Ordinary,
        status: AssetStatus::Discovered,
        name: Some(format!("cam {id}")),
        vendor: None,
        mac: None,
        addresses: vec![address.parse().unwrap()],
        functions: vec![],
        first_seen: Timestamp::from_secs(0),
        last_seen: Timestamp::from_secs(seen),
        declared: None,
    }
}

/// Whether it was new.
async fn seen(repository: &Repository, asset: Asset) -> bool {
    repository
        .observe(Source::Sensor(None), Observed { asset, known: Vec::new(), talks: Vec::new() })
        .await
        .unwrap()
        .new
}

async fn an_address_belongs_to_who_had_it_last(database: Database) {
    let repository = database.open().await;
    assert!(seen(&repository, camera("a", "10.0.0.1", 10)).await);
    assert!(seen(&repository, camera("b", "10.0.0.1", 20)).await);
    let at = async |address: &str| {
        repository.asset_at(address.parse().unwrap()).await.unwrap().map(|asset| asset.id)
    };
    assert_eq!(at("10.0.0.1").await.as_deref(), Some("b"));
    assert!(!seen(&repository, camera("b", "10.0.0.2", 30)).await);
    assert_eq!(at("10.0.0.1").await.as_deref(), Some("a"));
    let filter = AssetFilter { text: Some("CAM B".into()), ..AssetFilter::default() };
    assert_eq!(repository.assets(&filter, Paging::default()).await.unwrap().total, 1);
    assert_eq!(repository.asset_groups(AssetGroup::Kind).await.unwrap(), [("camera".to_owned(), 2)]);
}

async fn counters_add_up_by_the_hour(database: Database) {
    let repository = database.open().await;
    for (secs, amount) in [(0, 1), (3_599, 2), (3_600, 4)] {
        repository
            .add_to_counters(Timestamp::from_secs(secs), &[("packets", amount), ("nothing", 0)])
            .await
            .unwrap();
    }
    let counted =
        repository.counter("packets", Timestamp::from_secs(0), Timestamp::from_secs(7_200)).await.unwrap();
    assert_eq!(counted, [(Timestamp::from_secs(0), 3), (Timestamp::from_secs(3_600), 4)]);
    assert_eq!(repository.counter_total("packets").await.unwrap(), 7);
    assert_eq!(repository.counter_total("nothing").await.unwrap(), 0);
}

fn retention(days: u32, most_bytes: u64) -> Retention {
    Retention { incident_days: days, asset_days: days, journal_days: days, counter_days: days, most_bytes }
}

async fn what_is_old_goes(database: Database) {
    let repository = database.open().await;
    let now = Timestamp::from_secs(100 * 86_400);
    repository.keep_incident(&incident("old"), &[], now.plus_secs(-11 * 86_400)).await.unwrap();
    repository.keep_incident(&incident("new"), &[], now.plus_secs(-9 * 86_400)).await.unwrap();
    seen(&repository, camera("a", "10.0.0.1", 89 * 86_400 - 1)).await;
    seen(&repository, camera("b", "10.0.0.2", 91 * 86_400)).await;
    let swept = repository.sweep(&retention(10, u64::MAX), now).await.unwrap();
    assert_eq!((swept.incidents_by_age, swept.incidents_by_size, swept.assets), (1, 0, 1));
    assert_eq!(repository.incident(&incident("old").id).await.unwrap(), None);
    assert!(repository.incident(&incident("new").id).await.unwrap().is_some());
    assert_eq!(repository.asset_at("10.0.0.1".parse().unwrap()).await.unwrap(), None);
}

async fn over_the_cap_the_least_goes_first(database: Database) {
    let repository = database.open().await;
    let big = |name: &str, severity| {
        grown(name, |incident| {
            incident.severity = severity;
            // Nothing that a database could press together.
            let seed = name.bytes().fold(7_u64, |seed, byte| seed * 31 + u64::from(byte));
            incident.summary = std::iter::successors(Some(seed), |last| {
                Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
            })
            .map(|random| char::from(33 + (random >> 57) as u8 % 90))
            .take(20_000)
            .collect();
        })
    };
    let mut writes = Vec::new();
    for number in 0..300 {
        writes.push(big(&format!("low {number}"), Severity::Low));
        writes.push(big(&format!("high {number}"), Severity::High));
    }
    let mut kept = tokio::task::JoinSet::new();
    for incident in writes {
        let repository = repository.clone();
        kept.spawn(async move { repository.keep_incident(&incident, &[], NOW).await.unwrap() });
    }
    kept.join_all().await;
    let closed = Closed { at: NOW, by: "x".into(), reason: "x".into() };
    let first = &big("high 0", Severity::High).id;
    repository
        .close_incident(first, IncidentState::Resolved, &closed, &[], decided(Deed::IncidentClosed, NOW, &[]))
        .await
        .unwrap();
    let before = repository.bytes_on_disk().await.unwrap();
    let swept = repository.sweep(&retention(10, 10 << 20), NOW).await.unwrap();
    assert!(swept.incidents_by_size > 0 && swept.incidents_by_size < 600, "{swept:?}");
    let left = |severity| {
        let repository = repository.clone();
        async move { repository.open_incidents().await.unwrap().of(severity) }
    };
    assert_eq!(repository.incident(first).await.unwrap(), None, "closed ones go first");
    assert!(left(Severity::Low).await < 300);
    assert!(left(Severity::High).await == 299 || left(Severity::Low).await == 0);
    assert_eq!(
        repository.counter_total("incidents dropped for space").await.unwrap(),
        swept.incidents_by_size
    );
    repository.close().await;
    let after = database.open().await.bytes_on_disk().await.unwrap();
    // PostgreSQL keeps the room for what comes next.
    assert!(after < before || !database.is_sqlite(), "{after} of {before} bytes");
}

async fn what_is_too_large_is_refused_and_takes_nobody_with_it(database: Database) {
    let repository = database.open().await;
    let large = grown("large", |incident| incident.summary = "x".repeat(store::MOST_BYTES));
    let error = repository.keep_incident(&large, &[], NOW).await.unwrap_err().to_string();
    assert!(error.contains("at most 1048576 are kept"), "{error}");
    let small = incident("small");
    repository.keep_incident(&small, &[], NOW).await.unwrap();
    repository.close().await;
    assert!(repository.keep_incident(&small, &[], NOW).await.is_err(), "closed");
}

async fn writes_that_come_together_share_a_sync(database: Database) {
    let repository = database.open().await;
    let before = repository.health().await;
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..500 {
        let repository = repository.clone();
        writes.spawn(async move {
            repository.keep_incident(&incident(&number.to_string()), &[], NOW).await.unwrap();
        });
    }
    writes.join_all().await;
    let after = repository.health().await;
    assert_eq!(after.writes - before.writes, 500);
    assert!(after.commits - before.commits < 250, "{} syncs", after.commits - before.commits);
}
