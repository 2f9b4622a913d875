//! The inventory over HTTP: lists, declarations, what is one device and what is not.

use crate::city::{self, Browser, Page};
use axum::http::Method;
use model::{AssetStatus, Criticality};
use serde_json::{Value, json};
use server::AppState;

const JSON: (&str, &str) = ("content-type", "application/json");

fn leads_to(page: &Page) -> Option<&str> {
    page.headers.get("location").map(|to| to.to_str().unwrap())
}

struct City {
    _dir: tempfile::TempDir,
    state: AppState,
    browser: Browser,
}

async fn city() -> City {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    city::night(&state, model::PlanStatus::Proposed).await;
    let browser = Browser::sign_in(&state).await;
    City { _dir: dir, state, browser }
}

impl City {
    async fn list(&self, query: &str, list: &str) -> Page {
        let path = format!("/api/v1/assets{query}");
        self.browser.ask(&Method::POST, &path, &[("content-type", "text/csv")], list).await
    }

    async fn assets(&self, query: &str) -> Vec<Value> {
        let page = self.browser.get(&format!("/api/v1/assets{query}")).await;
        let answer: Value = serde_json::from_str(&page.text).unwrap();
        answer["items"].as_array().unwrap().clone()
    }

    async fn patch(&self, body: Value) -> Page {
        self.browser.ask(&Method::PATCH, "/api/v1/assets", &[JSON], &body.to_string()).await
    }
}

#[tokio::test]
async fn a_list_is_taken_whole_or_not_at_all() {
    let city = city().await;
    let before = city.assets("?per_page=500").await.len();
    let bad = "name;kind;mac;protected\nGate;camera;02:00:5e:10:00:aa;no\nDoor;spaceship;zz;perhaps\n=cmd();camera;;\n";
    let refused = city.list("", bad).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let problem: Value = serde_json::from_str(&refused.text).unwrap();
    let errors: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors[0].starts_with("line 3, column kind: expected one of the kinds"), "{errors:?}");
    assert!(errors.iter().any(|error| error.starts_with("line 4, column name") && error.contains("formula")));
    assert_eq!(city.assets("?per_page=500").await.len(), before);

    let good = "name;kind;mac;owner;district;maintenance\nGate;camera;02:00:5e:10:00:aa;Roads;North;sun 02:00-04:00\n";
    let tried = city.list("?dry_run=true", good).await;
    assert_eq!((tried.status.as_u16(), tried.text.as_str()), (200, r#"{"assets":1,"new":0,"known":0}"#));
    assert_eq!(city.assets("?per_page=500").await.len(), before);
    let taken = city.list("", good).await;
    assert_eq!((taken.status.as_u16(), taken.text.as_str()), (200, r#"{"assets":1,"new":1,"known":0}"#));
    assert_eq!(city.list("", good).await.text, r#"{"assets":1,"new":0,"known":1}"#);
    let found = city.assets("?owner=Roads&district=North&layer=device").await;
    assert_eq!((found.len(), &found[0]["name"], &found[0]["confidence"]), (1, &json!("Gate"), &json!(100)));
    assert_eq!(found[0]["declared"]["maintenance"], json!(["sun 02:00-04:00"]));
    // It is a decision, and the page finds it by what was declared.
    let decided = city.browser.get("/api/v1/decisions").await;
    assert!(decided.text.contains("assets-listed") && decided.text.contains("1 assets"), "{}", decided.text);
    let page = city.browser.get("/assets?district=North").await;
    assert!(page.text.contains("Gate") && page.text.contains("1 of 1"), "{}", page.text);
    // No list at all, and one that is none.
    for (list, said) in [("", "a header"), ("[1, 2]", "an object")] {
        let refused = city.list("", list).await;
        assert!(refused.status == 422 && refused.text.contains(said), "{list:?}: {}", refused.text);
    }
}

#[tokio::test]
async fn what_is_declared_holds_for_all_that_were_chosen() {
    let city = city().await;
    let ids: Vec<String> =
        city.assets("").await.iter().take(2).map(|asset| asset["id"].as_str().unwrap().to_owned()).collect();
    let said = city.patch(json!({"ids": ids, "owner": "Roads", "criticality": "important"})).await;
    assert_eq!(said.status, 200, "{}", said.text);
    let now: Vec<Value> = serde_json::from_str(&said.text).unwrap();
    assert!(
        now.iter().all(|asset| asset["criticality"] == "important" && asset["declared"]["owner"] == "Roads")
    );
    // A form of the list's page: what is empty stays.
    let form = format!(
        "ids={}&ids={}&owner=&place=Harbour&district=&kind=&criticality=&maintenance=&back=%2Fassets%3Fowner%3DRoads",
        ids[0].replace(':', "%3A"),
        ids[1].replace(':', "%3A")
    );
    let done = city.browser.post("/assets/declare", &form).await;
    assert_eq!((done.status.as_u16(), leads_to(&done)), (303, Some("/assets?owner=Roads")), "{}", done.text);
    let found = city.assets("?owner=Roads").await;
    assert!(
        found.len() == 2 && found.iter().all(|asset| asset["declared"]["place"] == "Harbour"),
        "{found:?}"
    );
    // All of one asset: what is empty is taken back.
    let form = format!(
        "ids={}&whole=yes&name=&kind=&layer=&owner=&place=Quay&district=&criticality=&maintenance=&note=",
        ids[0].replace(':', "%3A")
    );
    assert_eq!(city.browser.post("/assets/declare", &form).await.status, 303);
    assert_eq!(city.assets("?owner=Roads").await.len(), 1);
    for (body, status, said) in [
        (json!({"ids": [], "owner": "x"}), 422, "no asset was chosen"),
        (json!({"ids": ["nobody"], "owner": "x"}), 404, "nobody"),
        (json!({"ids": ids, "colour": "red"}), 422, "unknown field `colour`"),
        (json!({"ids": ids}), 422, "nothing was declared"),
        (json!({"ids": ids, "kind": "spaceship"}), 422, "one of the kinds"),
        (json!({"ids": vec!["x"; 501], "owner": "x"}), 422, "too many"),
        (json!({"owner": "x"}), 422, "ids"),
    ] {
        let refused = city.patch(body.clone()).await;
        assert!(refused.status.as_u16() == status && refused.text.contains(said), "{body}: {}", refused.text);
    }
}

#[tokio::test]
async fn two_assets_are_joined_and_told_apart_again() {
    let city = city().await;
    let (one, two) = {
        let assets = city.assets("").await;
        let id = |at: usize| assets[at]["id"].as_str().unwrap().to_owned();
        (id(0), id(1))
    };
    let path = |id: &str, deed: &str| format!("/api/v1/assets/{id}/{deed}");
    let joined = city
        .browser
        .ask(&Method::POST, &path(&one, "join"), &[JSON], &json!({"with": two}).to_string())
        .await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    let kept: Value = serde_json::from_str(&joined.text).unwrap();
    let kept = kept["id"].as_str().unwrap().to_owned();
    let gone = if kept == one { &two } else { &one };
    let sources = city.browser.get(&path(&kept, "sources")).await;
    let sources: Value = serde_json::from_str(&sources.text).unwrap();
    assert_eq!(sources["sources"].as_array().unwrap().len(), 2, "{sources}");
    // Its page, and where the other one's leads now.
    let page = city.browser.get(&format!("/assets/{kept}")).await;
    assert!(
        page.text.contains("Is another device")
            && page.text.contains("somebody said that these are one device")
    );
    let led = city.browser.get(&format!("/assets/{gone}")).await;
    assert_eq!(leads_to(&led), Some(format!("/assets/{}", kept.replace(':', "%3A")).as_str()));
    let again = city
        .browser
        .ask(&Method::POST, &path(&kept, "join"), &[JSON], &json!({"with": kept}).to_string())
        .await;
    assert!(again.status == 409 && again.text.contains("one already"), "{}", again.text);
    let form = format!("source=sensor&subject={}", gone.replace(':', "%3A"));
    let parted = city.browser.post(&format!("/assets/{kept}/part"), &form).await;
    assert_eq!(parted.status, 303, "{}", parted.text);
    assert_eq!(city.browser.get(&format!("/assets/{gone}")).await.status, 200);
    let decided = city.browser.get(&format!("/assets/{kept}")).await;
    assert!(
        decided.text.contains("assets joined") && decided.text.contains("asset parted"),
        "{}",
        decided.text
    );
}

/// What comes later from the sensor does not undo what a person said, and nobody but an integrator says it.
#[tokio::test]
async fn a_sensor_does_not_overrule_a_person() {
    let city = city().await;
    let now = city.state.now();
    let light = city::asset(now, 90, Some("pole-90"), "camera", Criticality::Ordinary);
    server::intake::take(&city.state, vec![city::seen(light.clone())]).await;
    let said = city
        .patch(json!({"ids": [light.id], "kind": "traffic-light-controller", "name": "Crossing 90"}))
        .await;
    assert_eq!(said.status, 200, "{}", said.text);
    server::intake::take(&city.state, vec![city::seen(light.clone())]).await;
    let asset = city.state.repository().asset(&light.id).await.unwrap().unwrap();
    assert_eq!((asset.label().as_str(), asset.criticality), ("Crossing 90", Criticality::Protected));
    assert_eq!(asset.status, AssetStatus::Discovered);
    // The sensor learns of it.
    let known = city.state.repository().known_assets().await.unwrap();
    assert!(
        known
            .iter()
            .any(|row| row.macs.contains(&light.mac.unwrap())
                && row.criticality == Some(Criticality::Protected))
    );
    let off = city.browser.ask(&Method::DELETE, &format!("/api/v1/assets/{}", light.id), &[], "").await;
    assert_eq!(off.status, 204, "{}", off.text);
    let asset = city.state.repository().asset(&light.id).await.unwrap().unwrap();
    assert_eq!((asset.label().as_str(), asset.kind.as_str(), asset.declared), ("pole-90", "camera", None));
}
