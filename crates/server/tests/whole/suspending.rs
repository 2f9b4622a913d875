//! A plan that takes an identity away: offered beside the sensor's, carried out and undone here.

use crate::city::{self, Browser};
use ledger::{Deed, Salt, Subject};
use model::{AssetStatus, AuthorityId, Criticality, PlanStatus};
use server::{
    AppState,
    intake::{Report, take},
};
use store::{Actor, Admission, Decided, Enrolled, IssuerKey, IssuerRecord, IssuerState, NewCertificate};

fn decided(state: &AppState, deed: Deed, about: (&str, &str)) -> Decided {
    let salt = Salt::new([3; 32]);
    Decided {
        at: state.now(),
        who: Actor::Program,
        deed,
        about: vec![Subject::new(about.0, about.1).unwrap()],
        details: None,
        salts: [salt.clone(), salt],
    }
}

/// The camera that the sensor would isolate, with a certificate.
async fn enrol(state: &AppState, id: &str) {
    let now = state.now();
    let issuer = IssuerRecord {
        id: "issuer".into(),
        authority: AuthorityId::local(),
        parent: None,
        name: "CN=City".into(),
        certificate: vec![1],
        key: IssuerKey::Away,
        bounds: "{}".into(),
        begins: now,
        ends: now.plus_secs(90_000),
        state: IssuerState::Root,
        number: 2,
        base: 1,
        changed: now,
    };
    let made = decided(state, Deed::IssuerChanged, ("issuer", "issuer"));
    state.repository().add_issuer(&issuer, None, None, made).await.unwrap();
    let certificate = NewCertificate {
        issuer: "issuer".into(),
        serial: "51".into(),
        asset: Some(id.to_owned()),
        name: "camera 7".into(),
        subject: "CN=camera 7".into(),
        profile: "device".into(),
        names: Vec::new(),
        key: "ab".repeat(32),
        fingerprint: "cd".repeat(32),
        begins: now,
        ends: now.plus_secs(80_000),
        body: vec![1],
    };
    let kept = state
        .repository()
        .add_certificate(certificate, Admission::Program, decided(state, Deed::Enrolled, ("asset", id)))
        .await
        .unwrap();
    assert_eq!(kept, Enrolled::Kept);
}

#[tokio::test]
async fn who_would_be_cut_off_and_has_an_identity_may_lose_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let now = state.now();
    let camera = city::asset(now, 17, Some("cam-07"), "camera", Criticality::Ordinary);
    take(&state, vec![city::seen(camera.clone())]).await;
    let isolate = city::isolate(now);
    let night = || {
        vec![
            Report::Incident(Box::new(city::takeover(now, 240))),
            Report::Plan(Box::new(city::plan(now, PlanStatus::Proposed, vec![city::isolate(now)]))),
        ]
    };
    let browser = Browser::sign_in(&state).await;
    let plans = async || -> Vec<serde_json::Value> {
        let page = browser.get("/api/v1/plans").await;
        let answer: serde_json::Value = serde_json::from_str(&page.text).unwrap();
        answer["items"].as_array().unwrap().clone()
    };
    // Who has no identity is offered none to lose.
    take(&state, night()).await;
    assert_eq!(plans().await.len(), 1);
    enrol(&state, &camera.id).await;
    take(&state, night()).await;
    take(&state, night()).await;
    let offered: Vec<_> =
        plans().await.into_iter().filter(|plan| plan["commands"][0]["action"] == "suspend").collect();
    assert_eq!(offered.len(), 1, "{offered:?}");
    let (plan, command) =
        (offered[0]["id"].as_str().unwrap(), offered[0]["commands"][0]["id"].as_str().unwrap());
    assert_eq!(
        (&offered[0]["status"], &offered[0]["commands"][0]["asset"]),
        (&"proposed".into(), &camera.id.as_str().into())
    );
    assert_eq!(offered[0]["commands"][0]["hits"].as_array().unwrap().len(), isolate.hits.len());
    let page = browser.get(&format!("/incidents/{}", city::incident_id("takeover"))).await;
    assert!(page.text.contains("Take the identity of") && page.text.contains("away until it is given back"));

    let approved = browser.post(&format!("/plans/{plan}/approve"), "").await;
    assert_eq!(approved.status, 303, "{}", approved.text);
    let asset = || async { state.repository().asset(&camera.id).await.unwrap().unwrap() };
    assert_eq!(asset().await.status, AssetStatus::Quarantined);
    let now_active = plans().await.into_iter().find(|one| one["id"] == plan).unwrap();
    assert_eq!(now_active["status"], "active");
    let _ = given;
    // Taken back as every command is.
    let undone = browser.post(&format!("/commands/{command}/undo"), "").await;
    assert_eq!(undone.status, 303, "{}", undone.text);
    assert_eq!(asset().await.status, AssetStatus::Enrolled);
    let over = plans().await.into_iter().find(|one| one["id"] == plan).unwrap();
    assert_eq!(over["status"], "undone");
    let again = browser.post(&format!("/commands/{command}/undo"), "").await;
    assert_eq!(again.status, 409, "{}", again.text);
    // It was offered once; the ledger says who did what.
    take(&state, night()).await;
    assert_eq!(plans().await.iter().filter(|one| one["commands"][0]["action"] == "suspend").count(), 1);
    let decided = browser.get(&format!("/api/v1/decisions?about=asset:{}", camera.id)).await;
    assert!(
        decided.text.contains("\"suspended\"") && decided.text.contains("\"restored\""),
        "{}",
        decided.text
    );
}
