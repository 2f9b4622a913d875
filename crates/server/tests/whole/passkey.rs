//! Passkeys in a real browser: Chromium with its virtual authenticator, over the DevTools protocol.

use crate::city::{self, Browser};
use axum::http::StatusCode;
use ledger::Deed;
use serde_json::{Value, json};
use server::{AppState, Doors, Node, auth};
use std::{
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use store::{CredentialKind, Paging};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Chromium, spoken to through its pipe (file descriptors 3 and 4), which needs no port.
struct Chromium {
    child: Child,
    to: tokio::process::ChildStdin,
    from: BufReader<tokio::process::ChildStdout>,
    session: String,
    number: u64,
    /// What the page wrote to its console as an error.
    errors: Vec<String>,
}

/// Unset where there is no Chromium: the test then says so.
fn program() -> Option<&'static str> {
    let there = |name: &&str| {
        let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(there)
}

impl Chromium {
    async fn start(program: &str, dir: &Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--ignore-certificate-errors", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", dir.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from): (ChildStdin, ChildStdout) =
            (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut chromium = Self {
            child,
            to: tokio::process::ChildStdin::from_std(to).unwrap(),
            from: BufReader::new(tokio::process::ChildStdout::from_std(from).unwrap()),
            session: String::new(),
            number: 0,
            errors: Vec::new(),
        };
        let targets = chromium.ask("Target.getTargets", json!({})).await;
        let pages = targets["targetInfos"].as_array().unwrap();
        let page = &pages.iter().find(|target| target["type"] == "page").unwrap()["targetId"];
        let attached =
            chromium.ask("Target.attachToTarget", json!({"targetId": page, "flatten": true})).await;
        chromium.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            chromium.ask(&format!("{domain}.enable"), json!({})).await;
        }
        chromium.ask("WebAuthn.enable", json!({})).await;
        chromium
    }

    /// One command and its result.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut command = json!({"id": number, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.unwrap();
        let answer = async {
            loop {
                let mut message = Vec::new();
                self.from.read_until(0, &mut message).await.unwrap();
                message.pop();
                assert!(!message.is_empty(), "{method}: Chromium has ended");
                let message: Value = serde_json::from_slice(&message).unwrap();
                if message["id"] == number {
                    return message;
                }
                if message["method"] == "Runtime.exceptionThrown"
                    || message["params"]["entry"]["level"] == "error"
                {
                    self.errors.push(message["params"].to_string());
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| panic!("{method} takes too long"));
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    async fn run(&mut self, script: &str) -> Value {
        let params =
            json!({"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.ask("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    async fn open(&mut self, url: &str) {
        self.ask("Page.navigate", json!({"url": url})).await;
        self.until("document.readyState === 'complete' && location.protocol === 'https:'").await;
    }

    /// Waits until the page says so.
    async fn until(&mut self, script: &str) {
        let begin = Instant::now();
        // While a page is left for another nothing can be asked of it.
        let script = format!("(() => {{ try {{ return Boolean({script}); }} catch {{ return false; }} }})()");
        loop {
            let params = json!({"expression": script, "returnByValue": true});
            if self.ask("Runtime.evaluate", params).await["result"]["value"] == true {
                return;
            }
            if begin.elapsed() > PATIENCE {
                let at = self.run("location.href + ' ' + document.body.innerText").await;
                panic!("never: {script}\n{at}\n{:?}", self.errors);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A phone or key with its screen lock; `verifies` is unset where somebody else holds it.
    async fn authenticator(&mut self, verifies: bool) -> String {
        let options = json!({"options": {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": verifies, "automaticPresenceSimulation": true,
        }});
        let made = self.ask("WebAuthn.addVirtualAuthenticator", options).await;
        made["authenticatorId"].as_str().unwrap().to_owned()
    }

    /// Whether whoever holds the authenticator touches it when it is asked, also by what is offered in a field.
    async fn touches(&mut self, authenticator: &str, enabled: bool) {
        let params = json!({"authenticatorId": authenticator, "enabled": enabled});
        self.ask("WebAuthn.setAutomaticPresenceSimulation", params).await;
    }

    async fn sign_out(&mut self) {
        self.run("document.querySelector('form[action=\"/sign-out\"] button').click()").await;
        self.until("document.body.innerText.includes('Signed out')").await;
    }

    async fn problem(&mut self) -> String {
        self.until("!document.querySelector('#passkey-problem').hidden").await;
        self.run("document.querySelector('#passkey-problem').textContent").await.as_str().unwrap().to_owned()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_added_used_and_removed_in_a_browser() {
    let Some(program) = program() else {
        eprintln!("SKIPPED: Chromium is not here, so that no passkey was tried in a browser");
        return;
    };
    let served = city::serve().await;
    let (state, url) = (&served.state, served.url.clone());
    let ada = auth::administrator(state.repository(), state.now()).await.unwrap();
    let mut chromium = Chromium::start(program, &served.dir.path().join("browser")).await;
    let phone = chromium.authenticator(true).await;

    // By the link, then a passkey with a hostile name that is taken as text, after one that is not.
    let link = auth::make_link(state.repository(), &url, &ada, None, state.now(), 60).await.unwrap();
    chromium.open(&link).await;
    chromium.run("document.querySelector('form[action=\"/sign-in/link\"] button').click()").await;
    chromium.until("document.body.innerText.includes('You came in by a link')").await;
    chromium.open(&format!("{url}/account")).await;
    let add = |label: &str| {
        format!(
            "(() => {{ const form = document.querySelector('[data-passkey=add]'); \
             form.elements.label.value = {}; form.querySelector('button').click(); }})()",
            json!(label)
        )
    };
    chromium.run(&add("a\u{202e}b")).await;
    assert!(chromium.problem().await.contains("`label`"));
    // What the phone made for the name that was refused is known to nobody.
    chromium.ask("WebAuthn.clearCredentials", json!({"authenticatorId": phone})).await;
    chromium.run(&add("<b>Ada's phone</b>")).await;
    chromium.until("document.body.innerText.includes('The passkey was added.')").await;
    chromium.until("document.querySelector('#passkeys').innerText.includes(\"<b>Ada's phone</b>\")").await;
    let has = state.repository().credentials(&ada.id).await.unwrap();
    assert_eq!(has.iter().map(|one| one.kind).collect::<Vec<_>>(), [CredentialKind::Passkey]);
    // The same phone a second time.
    chromium.run(&add("again")).await;
    assert_eq!(chromium.problem().await, "This device already has a passkey of yours.");

    // Out, and in again by the button.
    chromium.touches(&phone, false).await;
    chromium.sign_out().await;
    chromium.open(&format!("{url}/sign-in?next=/account")).await;
    chromium.touches(&phone, true).await;
    let press = "document.querySelector('[data-passkey=sign-in] button').click()";
    chromium.run(press).await;
    chromium.until("location.pathname === '/account'").await;
    assert!(!chromium.run("document.body.innerText").await.as_str().unwrap().contains("by a link"));
    let sessions =
        state.repository().sessions(&ada.id, state.now(), model::Timestamp::from_secs(0)).await.unwrap();
    assert_eq!(sessions.iter().filter(|session| session.method == "passkey").count(), 1);
    let used = state.repository().credentials(&ada.id).await.unwrap();
    assert!(used[0].used.is_some() && used[0].body != has[0].body, "the counter is kept");

    // Who holds the phone and cannot unlock it stays outside.
    chromium.touches(&phone, false).await;
    chromium.sign_out().await;
    chromium
        .ask("WebAuthn.setUserVerified", json!({"authenticatorId": phone, "isUserVerified": false}))
        .await;
    chromium.open(&format!("{url}/sign-in")).await;
    chromium.touches(&phone, true).await;
    chromium.run(press).await;
    assert!(chromium.problem().await.contains("No passkey was used"));
    chromium.ask("WebAuthn.setUserVerified", json!({"authenticatorId": phone, "isUserVerified": true})).await;

    // What the browser offers in the login's field does as well: here the phone takes it at once.
    chromium.open(&format!("{url}/sign-in?next=/account")).await;
    chromium.until("location.pathname === '/account'").await;
    chromium.touches(&phone, false).await;
    chromium.sign_out().await;

    // A ceremony that was answered is not answered again, and an answer fits no other ceremony.
    chromium.open(&format!("{url}/healthz")).await;
    chromium.touches(&phone, true).await;
    let replay = "(async () => {
        const send = (path, body) => fetch(path, {method: 'POST', headers: {'Content-Type': 'application/json'}, body});
        const begin = async () => (await send('/sign-in/passkey/begin')).json();
        const bytes = (t) => Uint8Array.from(atob(t.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
        const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
        const [one, other] = [await begin(), await begin()];
        const key = await navigator.credentials.get({publicKey: {...one.publicKey, extensions: {}, challenge: bytes(one.publicKey.challenge)}});
        const r = key.response;
        const credential = {id: key.id, rawId: text(key.rawId), type: key.type, response: {authenticatorData: text(r.authenticatorData),
            clientDataJSON: text(r.clientDataJSON), signature: text(r.signature), userHandle: text(r.userHandle)}};
        const finish = async (ceremony, credential) => (await send('/sign-in/passkey/finish', JSON.stringify({ceremony, credential}))).status;
        const forged = {...credential, response: {...credential.response, signature: text(new Uint8Array(70))}};
        const third = await begin();
        return [await finish(other.ceremony, credential), await finish(third.ceremony, forged),
            await finish(one.ceremony, credential), await finish(one.ceremony, credential)];
    })()";
    assert_eq!(chromium.run(replay).await, json!([403, 403, 200, 409]));

    // Removed, it opens nothing, although the phone still has it.
    chromium.open(&format!("{url}/account")).await;
    let remove = "document.querySelector('form[action$=\"/remove\"] button').click()";
    chromium.until("document.body.innerText.includes('Passkeys')").await;
    assert!(
        chromium.run("document.querySelector('form[action$=\"/remove\"] [name=last]').value").await == "yes"
    );
    chromium.run(remove).await;
    chromium.until("document.body.innerText.includes('The passkey was removed.')").await;
    chromium.touches(&phone, false).await;
    chromium.sign_out().await;
    chromium.open(&format!("{url}/sign-in")).await;
    chromium.touches(&phone, true).await;
    chromium.run(press).await;
    assert!(chromium.problem().await.contains("not known here, or was removed"));
    let deeds: Vec<Deed> = state
        .repository()
        .decisions(None, Paging::default())
        .await
        .unwrap()
        .items
        .iter()
        .map(|one| one.deed)
        .collect();
    assert!(deeds.contains(&Deed::CredentialAdded) && deeds.contains(&Deed::CredentialRemoved));
}

#[tokio::test]
async fn a_node_without_a_name_has_no_passkeys_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (bare, _) = city::open(dir.path(), false).await;
    let node = Node { url: "https://127.0.0.1:8443".into(), ..bare.node().clone() };
    let state = AppState::new(bare.repository().clone(), node, Doors::new(&[], &[], 8443), None).unwrap();
    let browser = Browser::sign_in(&state).await;
    let page = browser.get("/account").await;
    assert!(
        page.text.contains("https://127.0.0.1:8443 has none") && !page.text.contains("passkey.js"),
        "{}",
        page.text
    );
    let stranger = Browser::stranger(&state);
    assert!(!stranger.get("/sign-in").await.text.contains("passkey.js"));
    assert_eq!(stranger.post("/sign-in/passkey/begin", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/account/passkeys/begin", "").await.status, StatusCode::NOT_FOUND);
}
