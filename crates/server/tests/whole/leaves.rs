//! Every deed that the ledger knows has somebody who writes it, and what happens on a node is in its ledger.

use crate::city;
use axum::http::{Method, StatusCode};
use ledger::Deed;
use model::{PlanStatus, Severity};
use server::{
    AppState, Order,
    intake::{Report, take},
    notify::{self, Receiver, Webhook},
};
use std::{collections::BTreeSet, path::Path, time::Duration};
use store::{DecisionRecord, JournalRow, Paging};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[test]
fn every_deed_has_somebody_who_writes_it() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut code = String::new();
    let mut folders: Vec<_> = ["store", "server", "bastide"].map(|name| crates.join(name).join("src")).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                code.push_str(text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    let words: BTreeSet<&str> =
        code.split(|letter: char| !letter.is_alphanumeric() && letter != ':' && letter != '_').collect();
    for deed in Deed::ALL {
        assert!(words.contains(format!("Deed::{deed:?}").as_str()), "nobody writes {deed:?}");
    }
    let format = include_str!("../../../ledger/FORMAT.md");
    for deed in Deed::ALL {
        assert!(format.contains(&format!("`{deed}`")), "FORMAT.md does not know {deed}");
    }
}

async fn decisions(state: &AppState) -> Vec<DecisionRecord> {
    let mut page = state.repository().decisions(None, Paging::new(1, 500)).await.unwrap().items;
    page.sort_by_key(|decision| decision.number);
    page
}

async fn of(state: &AppState, deed: Deed) -> Vec<DecisionRecord> {
    decisions(state).await.into_iter().filter(|decision| decision.deed == deed).collect()
}

fn about(decision: &DecisionRecord) -> Vec<&str> {
    decision.about.iter().map(ledger::Subject::as_str).collect()
}

#[tokio::test]
async fn what_runs_by_itself_is_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    city::night(&state, PlanStatus::Active).await;
    // The same again, as after a restart.
    city::night(&state, PlanStatus::Active).await;
    let approved = of(&state, Deed::PlanApproved).await;
    assert_eq!(approved.len(), 1);
    assert!(approved[0].by_program);
    let run = of(&state, Deed::CommandRun).await;
    assert_eq!(run.len(), 1);
    let now = state.now();
    let (isolate, plan) = (city::isolate(now), city::plan(now, PlanStatus::Active, Vec::new()));
    let expected = [
        format!("command:{}", isolate.id),
        format!("plan:{}", plan.id),
        format!("incident:{}", city::incident_id("takeover")),
    ];
    assert_eq!(about(&run[0]), expected);
}

#[tokio::test]
async fn what_was_ordered_on_the_command_line_is_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let who = || "ada (command line)".to_owned();
    let command = city::isolate(state.now()).id;
    let orders = [
        Order::StopResponding { who: who() },
        Order::ResumeResponding { who: who() },
        Order::UndoAll { who: who() },
        Order::Undo { command: command.clone(), who: who() },
    ];
    let by_hand = |(number, order): (usize, &Order)| {
        let hash = format!("{number:064x}");
        let row = JournalRow { seq: number as u64, at: state.now(), hash, entry: serde_json::json!({}) };
        Report::ByHand(order.clone(), row)
    };
    let reports: Vec<_> = orders.iter().enumerate().map(by_hand).collect();
    take(&state, reports.clone()).await;
    take(&state, reports).await;
    let decisions = decisions(&state).await;
    let deeds: Vec<_> = decisions.iter().map(|decision| decision.deed).collect();
    let expected =
        [Deed::RespondingStopped, Deed::RespondingResumed, Deed::AllCommandsUndone, Deed::CommandUndone];
    assert_eq!(deeds, expected);
    assert!(decisions.iter().all(|decision| decision.who.as_deref() == Some("ada (command line)")));
    let journal = format!("journal:{:064x}", 3);
    assert_eq!(about(&decisions[3]), [format!("command:{command}"), journal]);
}

#[tokio::test]
async fn each_exception_is_a_decision_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    city::night(&state, PlanStatus::Proposed).await;
    let browser = city::Browser::sign_in(&state).await;
    let incident = city::incident_id("takeover");
    let body = serde_json::json!({"state": "false-alarm", "reason": "the installer", "days": 7});
    let path = format!("/api/v1/incidents/{incident}/close");
    let json = [("content-type", "application/json")];
    let closed = browser.ask(&Method::POST, &path, &json, &body.to_string()).await;
    assert!(closed.status.is_success(), "{}", closed.text);
    let made = of(&state, Deed::ExceptionMade).await;
    let exceptions = state.repository().exceptions().await.unwrap();
    assert!(!made.is_empty());
    assert_eq!(made.len(), exceptions.len());
    for exception in &exceptions {
        let named = format!("exception:{}", exception.id);
        let leaf = made.iter().find(|decision| about(decision)[0] == named).unwrap();
        let details = leaf.details.as_deref().unwrap();
        assert_eq!(about(leaf)[1], format!("incident:{incident}"));
        for part in [&exception.exception.detector, &exception.exception.address.to_string()] {
            assert!(details.contains(part), "{details}");
        }
    }
    assert_eq!(of(&state, Deed::IncidentClosed).await.len(), 1);
}

#[tokio::test]
async fn what_the_sensor_could_not_be_told_is_taken_back_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    city::night(&state, PlanStatus::Proposed).await;
    let plan = city::plan(state.now(), PlanStatus::Proposed, Vec::new()).id;
    let browser = city::Browser::sign_in(&state).await;
    city::be_busy(&given);
    let answer = browser.ask(&Method::POST, &format!("/api/v1/plans/{plan}/approve"), &[], "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
    let decisions = decisions(&state).await;
    let [.., approved, taken_back] = decisions.as_slice() else { panic!("{decisions:?}") };
    assert_eq!((approved.deed, taken_back.deed), (Deed::PlanApproved, Deed::NotCarriedOut));
    assert_eq!(about(approved), about(taken_back));
}

#[tokio::test]
async fn a_report_that_was_sent_is_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let webhook = Webhook::new(&format!("http://{place}/secret"), None, None).unwrap();
    let telling = tokio::spawn(notify::run(state.clone(), Receiver::Webhook(Box::new(webhook))));
    let answers = tokio::spawn(async move {
        // The first is refused and comes again.
        for status in ["503 Busy", "200 OK"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 << 10];
            let _ = stream.read(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let attack = city::guessing(state.now(), 3, Severity::High);
    take(&state, vec![Report::Incident(Box::new(attack.clone()))]).await;
    answers.await.unwrap();
    while state.repository().outgoing_waiting("webhook").await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    state.stop();
    telling.await.unwrap();
    let sent = of(&state, Deed::ReportSent).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(about(&sent[0]), [format!("incident:{}", attack.id)]);
    let details = sent[0].details.as_deref().unwrap();
    assert!(details.contains(&place.to_string()) && !details.contains("/secret"), "{details}");
}

#[tokio::test]
async fn what_the_node_decides_by_is_in_the_ledger_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    for _ in 0..2 {
        server::basis::note(&state).await;
    }
    let deeds: Vec<_> = decisions(&state).await.iter().map(|decision| decision.deed).collect();
    assert_eq!(deeds, [Deed::SettingsChanged, Deed::PolicyChanged]);
    // Another start with another setting, and with policies of another release.
    let repository = state.repository();
    for (name, deed) in
        [("settings in force", Deed::SettingsChanged), ("policies in force", Deed::PolicyChanged)]
    {
        let before = repository.setting(name).await.unwrap().unwrap();
        let (first, rest) = before.split_once('\n').unwrap();
        repository.set_setting(name, rest, state.now()).await.unwrap();
        server::basis::note(&state).await;
        let last = decisions(&state).await.pop().unwrap();
        assert_eq!((last.deed, last.details.as_deref()), (deed, Some(first)));
        assert_eq!(repository.setting(name).await.unwrap().unwrap(), before);
    }
}
