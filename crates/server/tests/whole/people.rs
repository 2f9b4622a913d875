//! Inviting people, giving and taking roles, erasing, tokens: by the API and by the console's forms.

use crate::city::{self, Browser, HOST, HOSTILE, Page};
use axum::http::{Method, StatusCode};
use model::AuthorityId;
use serde_json::{Value, json};
use server::AppState;
use store::Paging;

city::on_both!(
    somebody_is_invited_given_a_role_suspended_and_erased,
    nobody_climbs_by_managing_whoever_stands_higher,
    guests_are_seen_by_name_and_role_and_their_role_can_be_taken,
    authorities_come_in_pages,
    a_token_is_shown_once_and_may_no_more_than_its_maker,
    the_forms_of_the_console_do_the_same,
    names_are_shown_as_they_are_and_run_nothing,
    the_sensors_journal_forgets_who_was_erased
);

async fn api(who: &Browser, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let page = who.ask(&method, path, &[("content-type", "application/json")], &body).await;
    (page.status.as_u16(), serde_json::from_str(&page.text).unwrap_or(Value::Null))
}

/// Signs in by an address that was shown once.
async fn follow(state: &AppState, link: &str) -> Browser {
    let path = link.strip_prefix(&format!("https://{HOST}")).unwrap();
    Browser::by_link(state, path).await
}

async fn invite(
    state: &AppState,
    who: &Browser,
    login: &str,
    place: &str,
    roles: Value,
) -> (String, Browser) {
    let body = json!({"login": login, "name": login.to_uppercase(), "authority": place, "roles": roles});
    let (status, invited) = api(who, Method::POST, "/api/v1/people", body).await;
    assert_eq!(status, 201, "{invited}");
    let browser = follow(state, invited["link"].as_str().unwrap()).await;
    (invited["id"].as_str().unwrap().to_owned(), browser)
}

async fn below(who: &Browser, id: &str, parent: &str) {
    let body = json!({"id": id, "name": id.to_uppercase(), "level": "department", "parent": parent});
    assert_eq!(api(who, Method::POST, "/api/v1/authorities", body).await.0, 204);
}

async fn somebody_is_invited_given_a_role_suspended_and_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let admin = Browser::sign_in(&state).await;
    let (id, ada) = invite(&state, &admin, "ada@city.example", "local", json!(["auditor"])).await;
    let person = format!("/api/v1/people/{id}");
    let sees = async || api(&ada, Method::GET, "/api/v1/incidents", Value::Null).await.0;
    let undoes = async || api(&ada, Method::POST, "/api/v1/commands/undo-all", Value::Null).await.0;
    assert_eq!((sees().await, undoes().await), (200, 403));
    // A role counts with the next request.
    let operator = json!({"role": "operator", "authority": "local"});
    let roles = format!("{person}/roles");
    assert_eq!(api(&admin, Method::POST, &roles, operator.clone()).await.0, 204);
    assert_eq!(api(&admin, Method::POST, &roles, operator).await.0, 409, "held already");
    assert_eq!(undoes().await, 409, "no sensor, but allowed");
    let (_, known) = api(&admin, Method::GET, &person, Value::Null).await;
    assert_eq!(known["holds"].as_array().unwrap().len(), 2);
    assert_eq!(known["login"], "ada@city.example");
    let take = format!("{roles}/local/operator");
    assert_eq!(api(&admin, Method::DELETE, &take, Value::Null).await.0, 204);
    assert_eq!(api(&admin, Method::DELETE, &take, Value::Null).await.0, 404);
    assert_eq!(undoes().await, 403);
    assert_eq!(api(&admin, Method::PATCH, &person, json!({"state": "suspended"})).await.0, 204);
    assert_eq!(sees().await, 401, "signed out at once");
    assert_eq!(api(&admin, Method::POST, &format!("{person}/link"), Value::Null).await.0, 409);
    assert_eq!(api(&admin, Method::PATCH, &person, json!({"state": "active"})).await.0, 204);
    let (_, again) = api(&admin, Method::POST, &format!("{person}/link"), Value::Null).await;
    let ada = follow(&state, again["link"].as_str().unwrap()).await;
    assert_eq!(api(&ada, Method::GET, "/api/v1/assets", Value::Null).await.0, 200);
    assert_eq!(api(&admin, Method::DELETE, &format!("{person}/sessions"), Value::Null).await.0, 204);
    assert_eq!(api(&ada, Method::GET, "/api/v1/assets", Value::Null).await.0, 401);
    assert_eq!(api(&admin, Method::DELETE, &person, Value::Null).await.0, 204);
    assert_eq!(api(&admin, Method::GET, &person, Value::Null).await.0, 404);
    let decisions = state.repository().decisions(None, Paging::default()).await.unwrap().items;
    assert!(decisions.iter().all(|decision| !format!("{decision:?}").contains("ada@city.example")));
    let deeds: Vec<_> = decisions.iter().map(|decision| decision.deed.as_str()).collect();
    assert_eq!(deeds[0], "person-erased");
    for deed in ["role-given", "role-taken", "person-suspended", "person-changed", "session-ended"] {
        assert!(deeds.contains(&deed), "{deed}: {deeds:?}");
    }
}

async fn nobody_climbs_by_managing_whoever_stands_higher() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let admin = Browser::sign_in(&state).await;
    below(&admin, "north", "local").await;
    let (_, northern) = invite(&state, &admin, "north-admin", "north", json!(["administrator"])).await;
    // She belongs to north, and is an operator of all of the city.
    let (nora, _) = invite(&state, &admin, "nora", "north", json!(["analyst"])).await;
    let person = format!("/api/v1/people/{nora}");
    assert_eq!(api(&northern, Method::PATCH, &person, json!({"name": "Nora"})).await.0, 204);
    let operator = json!({"role": "operator", "authority": "local"});
    assert_eq!(api(&northern, Method::POST, &format!("{person}/roles"), operator.clone()).await.0, 404);
    assert_eq!(api(&admin, Method::POST, &format!("{person}/roles"), operator).await.0, 204);
    for (method, path, body) in [
        (Method::POST, format!("{person}/link"), Value::Null),
        (Method::PATCH, person.clone(), json!({"state": "suspended"})),
        (Method::DELETE, person.clone(), Value::Null),
        (Method::DELETE, format!("{person}/sessions"), Value::Null),
    ] {
        let (status, told) = api(&northern, method.clone(), &path, body).await;
        assert_eq!(status, 403, "{method} {path}: {told}");
    }
    // Of those above, and of the tree above, she knows nothing.
    let (_, people) = api(&northern, Method::GET, "/api/v1/people", Value::Null).await;
    assert_eq!(people["total"], 2, "{people}");
    let (_, tree) = api(&northern, Method::GET, "/api/v1/authorities", Value::Null).await;
    assert_eq!(tree["total"], 1, "{tree}");
    let up = json!({"id": "above", "name": "Above", "level": "department", "parent": "local"});
    assert_eq!(api(&northern, Method::POST, "/api/v1/authorities", up).await.0, 404);
    below(&northern, "north-night", "north").await;
    // Nobody suspends or erases themselves, and the last administrator stays.
    let (_, all) = api(&admin, Method::GET, "/api/v1/people?text=administrator", Value::Null).await;
    let own = format!("/api/v1/people/{}", all["items"][0]["id"].as_str().unwrap());
    assert_eq!(api(&admin, Method::PATCH, &own, json!({"state": "suspended"})).await.0, 409);
    assert_eq!(api(&admin, Method::DELETE, &own, Value::Null).await.0, 409);
}

async fn guests_are_seen_by_name_and_role_and_their_role_can_be_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let admin = Browser::sign_in(&state).await;
    for name in ["north", "south"] {
        below(&admin, name, "local").await;
    }
    let (_, northern) = invite(&state, &admin, "north-admin", "north", json!(["administrator"])).await;
    let (sam, _) = invite(&state, &admin, "sam@south", "south", json!(["analyst"])).await;
    let person = format!("/api/v1/people/{sam}");
    assert_eq!(api(&northern, Method::GET, &person, Value::Null).await.0, 404);
    let here = json!({"role": "operator", "authority": "north"});
    assert_eq!(api(&admin, Method::POST, &format!("{person}/roles"), here.clone()).await.0, 204);
    let guest = json!({
        "authority": "south", "id": sam, "name": "SAM@SOUTH", "guest": true, "holds": [here],
    });
    assert_eq!(api(&northern, Method::GET, &person, Value::Null).await, (200, guest.clone()));
    let (_, listed) = api(&northern, Method::GET, "/api/v1/people?text=sam", Value::Null).await;
    assert_eq!(listed["items"], json!([guest]));
    // Who sees where they belong is told the rest.
    let (_, whole) = api(&admin, Method::GET, &person, Value::Null).await;
    assert_eq!((&whole["login"], &whole["guest"]), (&json!("sam@south"), &json!(false)));
    assert_eq!(whole["holds"].as_array().unwrap().len(), 2);
    let page = northern.get("/people").await.text;
    assert!(
        page.contains("guest") && page.contains("operator in NORTH") && !page.contains("sam@south"),
        "{page}"
    );
    let page = northern.get(&format!("/people/{sam}")).await.text;
    assert!(page.contains("guest") && page.contains("SOUTH") && !page.contains("sam@south"), "{page}");
    assert!(
        page.contains("/take\"") && !page.contains("/erase\"") && !page.contains("Signed in</h2>"),
        "{page}"
    );
    // A guest's role can be taken; more is not north's to do.
    for (method, path, body) in [
        (Method::POST, format!("{person}/link"), Value::Null),
        (Method::PATCH, person.clone(), json!({"state": "suspended"})),
        (Method::DELETE, person.clone(), Value::Null),
        (Method::POST, format!("{person}/roles"), json!({"role": "auditor", "authority": "north"})),
    ] {
        assert_eq!(api(&northern, method.clone(), &path, body).await.0, 404, "{method} {path}");
    }
    let taken = northern.post(&format!("/people/{sam}/take"), "role=operator&place=north").await;
    assert_eq!(
        (taken.status, &taken.headers["location"]),
        (StatusCode::SEE_OTHER, &"/people".parse().unwrap())
    );
    assert_eq!(api(&northern, Method::GET, &person, Value::Null).await.0, 404);
}

async fn authorities_come_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let admin = Browser::sign_in(&state).await;
    for street in 0..60 {
        below(&admin, &format!("street-{street:02}"), "local").await;
    }
    let page = async |query: &str| {
        let (status, page) =
            api(&admin, Method::GET, &format!("/api/v1/authorities{query}"), Value::Null).await;
        let items = page["items"].as_array().map_or(0, Vec::len);
        (status, items, page["total"].as_u64(), page["pages"].as_u64(), page["items"][0]["id"].clone())
    };
    assert_eq!(page("").await, (200, 50, Some(61), Some(2), json!("local")));
    assert_eq!(page("?page=2").await, (200, 11, Some(61), Some(2), json!("street-49")));
    assert_eq!(page("?page=3&per_page=25").await.1, 11);
    assert_eq!(page("?page=9").await, (200, 0, Some(61), Some(2), Value::Null));
    assert_eq!(page("?page=0").await.0, 400);
    let first = admin.get("/authorities").await.text;
    assert!(first.contains("street-48") && !first.contains("<code>street-49"), "{first}");
    let second = admin.get("/authorities?page=2").await.text;
    assert!(second.contains("<code>street-49") && second.contains("<code>street-59"), "{second}");
}

async fn a_token_is_shown_once_and_may_no_more_than_its_maker() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let admin = Browser::sign_in(&state).await;
    let (_, ada) = invite(&state, &admin, "ada", "local", json!(["auditor"])).await;
    let (_, bob) = invite(&state, &admin, "bob", "local", json!(["auditor"])).await;
    let wanted = |roles: Value| json!({"name": "monitor", "roles": roles, "days": 1});
    let make = async |body| api(&ada, Method::POST, "/api/v1/tokens", body).await;
    assert_eq!(make(wanted(json!(["operator"]))).await.0, 403, "not hers to give");
    assert_eq!(make(wanted(json!(["administrator"]))).await.0, 422);
    assert_eq!(make(wanted(json!([]))).await.0, 422);
    assert_eq!(make(json!({"name": "monitor", "roles": ["auditor"], "days": 0})).await.0, 422);
    assert_eq!(make(json!({"name": "a\nb", "roles": ["auditor"]})).await.0, 422);
    let (status, made) = make(wanted(json!(["auditor"]))).await;
    assert_eq!(status, 201);
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let program = Browser::stranger(&state);
    let ask = async |method: Method, path: &str, body: &str| {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        program.ask(&method, path, &headers, body).await.status.as_u16()
    };
    assert_eq!(ask(Method::GET, "/api/v1/incidents", "").await, 200);
    assert_eq!(ask(Method::POST, "/api/v1/tokens", &wanted(json!(["auditor"])).to_string()).await, 403);
    let (_, listed) = api(&ada, Method::GET, "/api/v1/tokens", Value::Null).await;
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(!listed.to_string().contains(made["token"].as_str().unwrap()));
    let revoke =
        async |who: &Browser| api(who, Method::DELETE, &format!("/api/v1/tokens/{id}"), Value::Null).await.0;
    assert_eq!(revoke(&bob).await, 403, "an auditor sees it");
    assert_eq!(revoke(&ada).await, 204, "it is hers");
    assert_eq!(ask(Method::GET, "/api/v1/incidents", "").await, 401);
    assert_eq!(revoke(&admin).await, 404);
    // A role that she does not hold, but that may no more than she.
    let (_, eve) = invite(&state, &admin, "eve", "local", json!(["administrator"])).await;
    for (role, status) in [("auditor", 201), ("integrator", 201), ("analyst", 403), ("operator", 403)] {
        let (answer, told) = api(&eve, Method::POST, "/api/v1/tokens", wanted(json!([role]))).await;
        assert_eq!(answer, status, "{role}: {told}");
    }
}

async fn the_forms_of_the_console_do_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let admin = Browser::sign_in(&state).await;
    let form = "name=Ada+%3Cb%3E&login=ada&place=local&role=auditor&role=analyst";
    let [shown, again] = admin.post_and_follow("/people", form).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert!(shown.text.contains("A sign-in link for Ada &lt;b&gt;"), "{}", shown.text);
    assert!(again.text.contains("Ada &lt;b&gt;") && !again.text.contains("sign-in?link="), "{}", again.text);
    let link = shown.text.split("data-copy=\"").nth(1).unwrap().split('"').next().unwrap();
    let ada = follow(&state, link).await;
    assert_eq!(ada.get("/incidents").await.status, StatusCode::OK);
    assert_eq!(ada.get("/people").await.status, StatusCode::OK, "an auditor sees them");
    assert!(!ada.get("/people").await.text.contains("Invite somebody"), "and changes nothing");
    let person = state.repository().person_by_login(&"ada".parse().unwrap()).await.unwrap().unwrap();
    let path = format!("/people/{}", person.id);
    let page = admin.get(&path).await;
    assert!(page.text.contains("Ada &lt;b&gt;") && page.text.contains("judges incidents"), "{}", page.text);
    let back = async |deed: &str, form: &str| {
        let answer = admin.post(&format!("{path}/{deed}"), form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{deed}: {}", answer.text);
    };
    back("take", "role=auditor&place=local").await;
    back("give", "role=operator&place=local").await;
    back("name", "name=Ada").await;
    let roles: Vec<_> = state.repository().holdings(&person.id).await.unwrap();
    assert_eq!(roles.iter().map(|held| held.role.as_str()).collect::<Vec<_>>(), ["analyst", "operator"]);
    back("suspend", "").await;
    assert_ne!(ada.get("/incidents").await.status, StatusCode::OK);
    back("allow", "").await;
    assert_eq!(admin.post(&format!("{path}/fly"), "").await.status, StatusCode::NOT_FOUND);
    let new = "id=harbour-police&name=Harbour+police&level=department&parent=local";
    assert_eq!(admin.post("/authorities", new).await.status, StatusCode::SEE_OTHER);
    assert_eq!(admin.post("/authorities", new).await.status, StatusCode::CONFLICT);
    assert_eq!(admin.post("/authorities", "id=Oh+no").await.status, StatusCode::BAD_REQUEST);
    admin.post("/authorities/harbour-police/rename", "name=Port+police").await;
    let tree = admin.get("/authorities").await.text;
    assert!(tree.contains("Port police") && tree.contains("harbour-police"), "{tree}");
    let [made, again] =
        admin.post_and_follow("/tokens", "name=monitor&place=local&role=analyst&days=7").await;
    assert!(made.text.contains("shown this once"), "{}", made.text);
    assert!(again.text.contains("monitor") && !again.text.contains("shown this once"), "{}", again.text);
    let [link, again] = admin.post_and_follow(&format!("{path}/link"), "").await;
    assert!(link.text.contains("sign-in?link=") && !again.text.contains("sign-in?link="), "{}", link.text);
    back("erase", "").await;
    assert_eq!(admin.get(&path).await.status, StatusCode::NOT_FOUND);
}

async fn names_are_shown_as_they_are_and_run_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let admin = Browser::sign_in(&state).await;
    let acts = |letter: &char| letter.is_control() || matches!(letter, '\u{202e}' | '\u{2066}');
    let name: String = HOSTILE.chars().filter(|letter| !acts(letter)).take(110).collect();
    let body = json!({"login": "eve", "name": name, "roles": ["auditor"]});
    assert_eq!(api(&admin, Method::POST, "/api/v1/people", body).await.0, 201);
    let body = json!({"id": "eve", "name": name, "level": "department", "parent": "local"});
    assert_eq!(api(&admin, Method::POST, "/api/v1/authorities", body).await.0, 204);
    let body = json!({"name": name, "roles": ["analyst"]});
    assert_eq!(api(&admin, Method::POST, "/api/v1/tokens", body).await.0, 201);
    let eve = state.repository().person_by_login(&"eve".parse().unwrap()).await.unwrap().unwrap();
    let calm = |page: Page, path: &str| {
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"), "{path}");
        assert!(page.text.contains("&lt;script&gt;"), "{path} does not show it");
    };
    for path in ["/people", "/authorities", "/tokens", &format!("/people/{}", eve.id)] {
        calm(admin.get(path).await, path);
    }
    for bad in ["a\u{0}b", "", "   ", &"x".repeat(121)] {
        let body = json!({"login": "mallory", "name": bad});
        assert_eq!(api(&admin, Method::POST, "/api/v1/people", body).await.0, 422, "{bad:?}");
    }
    for login in ["", "a b", "<b>", "ad\u{0430}", "-x"] {
        let body = json!({"login": login, "name": "x"});
        assert_eq!(api(&admin, Method::POST, "/api/v1/people", body).await.0, 422, "{login:?}");
    }
    let unknown = json!({"login": "x", "name": "x", "role": "auditor"});
    assert_eq!(api(&admin, Method::POST, "/api/v1/people", unknown).await.0, 422, "an unknown field");
    assert_eq!(state.repository().authority(), &AuthorityId::local());
}

async fn the_sensors_journal_forgets_who_was_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let admin = Browser::sign_in(&state).await;
    let (ada, operator) = invite(&state, &admin, "ada", "local", json!(["operator"])).await;
    assert_eq!(api(&operator, Method::POST, "/api/v1/commands/undo-all", Value::Null).await.0, 202);
    let order = given.lock().unwrap().pop().unwrap();
    assert_eq!(order, server::Order::UndoAll { who: ada.clone() });
    // As the sensor writes it down.
    let entry = json!({"who": ada, "why": format!("{ada} approved the plan"), "what": {"act": "approved"}});
    let row = store::JournalRow { seq: 1, at: state.now(), hash: "00".repeat(32), entry };
    server::intake::take(&state, vec![server::intake::Report::Journal(row)]).await;
    let page = admin.get("/journal").await.text;
    assert!(page.contains("ada approved the plan") && !page.contains(&format!("{ada} approved")), "{page}");
    let person = format!("/api/v1/people/{ada}");
    assert_eq!(api(&admin, Method::DELETE, &person, Value::Null).await.0, 204);
    let page = admin.get("/journal").await.text;
    assert!(page.contains(&format!("{ada} (erased) approved the plan")), "{page}");
    let (_, journal) = api(&admin, Method::GET, "/api/v1/journal", Value::Null).await;
    assert_eq!(journal["items"][0]["entry"]["who"], json!(ada), "the chain is as it was");
    assert!(!journal.to_string().contains("\"ada\""));
}
