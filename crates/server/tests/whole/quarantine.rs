//! What becomes of the addresses of an asset with its identity, as whoever takes that away hears it.

use crate::city;
use axum::http::Method;
use model::{
    Action, Asset, Command, CommandId, ContentHasher, Effect, Kind, Plan, PlanId, PlanStatus, Receipt,
    Suspension, Target, Timestamp, Withheld,
};
use serde_json::{Value, json};
use server::{
    AppState, Order,
    intake::{Report, take},
    quarantine,
};
use std::time::Duration;

/// What a sensor reports that quarantines an asset, but for one address.
fn plan(suspension: &Suspension, status: PlanStatus, now: Timestamp) -> Plan {
    let incident = Suspension::incident_id(&suspension.asset.id, suspension.at);
    let command = Command {
        id: CommandId::from_content(ContentHasher::new().part(incident.as_str())),
        action: Action::Isolate { keep: Vec::new() },
        on: Target::Device { addresses: suspension.asset.addresses.clone(), mac: suspension.asset.mac },
        why: "it is suspended".into(),
        hits: Vec::new(),
        created: now,
        expires: now.plus_secs(86_400),
        inverse: "let it talk again".into(),
        kind: Kind("camera".into()),
    };
    let withheld = Withheld { address: "192.168.20.1".parse().unwrap(), reason: "it is a gateway".into() };
    Plan {
        id: PlanId::from_content(ContentHasher::new().part(incident.as_str())),
        incident,
        made: now,
        status,
        commands: vec![command],
        withheld: vec![withheld],
        because: "it is suspended".into(),
    }
}

fn receipt(plan: &Plan, effect: Effect, at: Timestamp) -> Receipt {
    let command = plan.commands[0].id.clone();
    Receipt { command, at, effect, packets_stopped: 0, packets_passed: 0, actuator: "nftables@test".into() }
}

/// A sensor that does what it is told, once it is told of a change.
async fn obey(state: AppState, given: city::Given) {
    let mut known: Vec<Suspension> = Vec::new();
    loop {
        let told = given.lock().unwrap().drain(..).collect::<Vec<_>>();
        for order in told {
            let Order::Suspended { assets, .. } = order else { continue };
            let now = state.now();
            let mut reports = Vec::new();
            for one in assets.iter().filter(|one| !known.iter().any(|before| before.at == one.at)) {
                let plan = plan(one, PlanStatus::Active, now);
                let applied = receipt(&plan, Effect::Applied, now);
                reports.extend([Report::Plan(Box::new(plan)), Report::Receipt(applied)]);
            }
            for one in known.iter().filter(|one| !assets.iter().any(|still| still.at == one.at)) {
                let plan = plan(one, PlanStatus::Undone, now);
                let undone = receipt(&plan, Effect::Undone, now);
                reports.extend([Report::Receipt(undone), Report::Plan(Box::new(plan))]);
            }
            take(&state, reports).await;
            known = assets;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn act(browser: &city::Browser, asset: &Asset, deed: &str) -> Value {
    let json = [("content-type", "application/json")];
    let path = format!("/api/v1/assets/{}/{deed}", asset.id.replace(':', "%3A"));
    let answer = browser.ask(&Method::POST, &path, &json, &json!({}).to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

async fn a_camera(state: &AppState) -> Asset {
    city::night(state, PlanStatus::Proposed).await;
    state.repository().asset_at("192.168.20.17".parse().unwrap()).await.unwrap().unwrap()
}

#[tokio::test]
async fn whoever_suspends_hears_what_became_of_the_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let camera = a_camera(&state).await;
    let browser = city::Browser::sign_in(&state).await;
    let sensor = tokio::spawn(obey(state.clone(), given.clone()));
    let ended = act(&browser, &camera, "suspend").await;
    let said = &ended["quarantine"];
    assert_eq!(said["state"], "in-part", "{ended}");
    let words = said["said"].to_string();
    assert!(
        words.contains("isolate, by nftables@test") && words.contains("192.168.20.1: it is a gateway"),
        "{words}"
    );
    // The incident, its plan and the page of the asset say so too.
    let incident = said["incident"].as_str().unwrap();
    let page = browser.get(&format!("/incidents/{incident}")).await;
    assert!(page.text.contains("is suspended") && page.text.contains("it is a gateway"), "{}", page.text);
    let page = browser.get(&format!("/assets/{}", camera.id.replace(':', "%3A"))).await;
    assert!(page.text.contains("isolate, by nftables@test"), "{}", page.text);
    let ended = act(&browser, &camera, "restore").await;
    assert_eq!(ended["quarantine"]["said"], json!(["Its quarantine is over."]), "{ended}");
    let kept = state.repository().incident(&incident.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.state, store::IncidentState::Resolved);
    // Revoked and suspended again, it is another quarantine.
    let again = act(&browser, &camera, "revoke").await;
    assert_ne!(again["quarantine"]["incident"].as_str(), Some(incident), "{again}");
    sensor.abort();
}

#[tokio::test]
async fn a_sensor_that_is_away_mute_or_busy_is_told_of_and_told_later() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let camera = a_camera(&state).await;
    let browser = city::Browser::sign_in(&state).await;
    let ended = act(&browser, &camera, "suspend").await;
    let said = ended["quarantine"]["said"][0].as_str().unwrap();
    assert!(said.starts_with("No sensor of its authority takes orders here"), "{said}");
    act(&browser, &camera, "restore").await;

    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let camera = a_camera(&state).await;
    let browser = city::Browser::sign_in(&state).await;
    let ended = act(&browser, &camera, "suspend").await;
    assert_eq!(ended["quarantine"]["state"], "unanswered", "{ended}");
    let told = |given: &city::Given| match given.lock().unwrap().last() {
        Some(Order::Suspended { assets, .. }) => Some(assets.len()),
        _ => None,
    };
    assert_eq!(told(&given), Some(1));
    // Told once, and with the next word where it was too busy.
    quarantine::tell(&state, "bastide").await.unwrap();
    given.lock().unwrap().clear();
    quarantine::tell(&state, "bastide").await.unwrap();
    assert!(given.lock().unwrap().is_empty());
    city::be_busy(&given);
    let ended = act(&browser, &camera, "restore").await;
    assert!(ended["quarantine"]["said"][0].as_str().unwrap().contains("too busy"), "{ended}");
    given.lock().unwrap().clear();
    let stats = Report::Stats { status: Box::default(), counted: Vec::new() };
    take(&state, vec![stats]).await;
    assert_eq!(told(&given), Some(0));
    let decisions = state.repository().decisions(None, store::Paging::new(1, 100)).await.unwrap().items;
    assert!(decisions.iter().any(|one| one.deed == ledger::Deed::NotCarriedOut), "{decisions:?}");
}

#[tokio::test]
async fn what_is_suspended_is_told_with_who_and_since_when() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let camera = a_camera(&state).await;
    let browser = city::Browser::sign_in(&state).await;
    act(&browser, &camera, "suspend").await;
    // As after a restart.
    let kept = state.repository().suspended().await.unwrap();
    let Some(Order::Suspended { assets, who }) = given.lock().unwrap().last().cloned() else { panic!() };
    assert_eq!((kept.len(), kept[0].who.as_str(), &kept), (1, who.as_str(), &assets));
    assert!(who.starts_with("per-"), "{who}");
    // The camera moves on: the sensor is told.
    given.lock().unwrap().clear();
    let mut moved = camera.clone();
    moved.addresses.insert(0, "192.168.20.99".parse().unwrap());
    take(&state, vec![city::seen(moved)]).await;
    let Some(Order::Suspended { assets, .. }) = given.lock().unwrap().last().cloned() else { panic!() };
    assert!(assets[0].asset.addresses.contains(&"192.168.20.99".parse().unwrap()));
}
