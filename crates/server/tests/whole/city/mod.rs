//! A small city behind a real server: a store in a temporary folder, a sensor's reports, and a browser that signs in.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test uses a part")]

#[path = "../../../../report/tests/sample/incidents.rs"]
mod incidents;

mod app;
pub(crate) mod database;
mod served;

pub(crate) use app::App;
pub(crate) use database::on_both;
pub(crate) use incidents::id as incident_id;
pub(crate) use served::{Served, serve, serve_with};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use identify::merge::{Known, Observed};
use model::{
    Action, Asset, AssetStatus, AuthorityId, Command, CommandId, ContentHasher, Criticality, Effect, Hit,
    Identifier, Incident, Kind, Layer, Mac, Plan, PlanId, PlanStatus, Receipt, Severity, Target, Timestamp,
    Withheld,
};
use server::{
    AppState, Doors, InputStatus, Node, Order, OrderError, SensorStatus, Setting,
    intake::{Report, take},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
};
use store::{JournalRow, LedgerKey, Repository, Retention};
use tower::ServiceExt as _;

pub(crate) const HOST: &str = "localhost:8443";

/// What an enemy would call a host.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"><img src=x onerror=alert(1)>' onmouseover='x' \u{1b}[2J\u{202e}gpj.exe\u{2066}\0\r\n&lt;b&gt;</title></textarea>{{7*7}}";

/// The orders that the console gave.
pub(crate) type Given = Arc<Mutex<Vec<Order>>>;

/// How many of them the sensor takes.
const ROOM: usize = 1_000;

/// Lets the sensor have no room for another.
pub(crate) fn be_busy(given: &Given) {
    given.lock().unwrap().resize(ROOM, Order::UndoAll { who: "many".into() });
}

pub(crate) async fn open(dir: &Path, sensor: bool) -> (AppState, Given) {
    let repository =
        Repository::open(database::new(dir), AuthorityId::local(), LedgerKey::from_seed(&[7; 32]).unwrap())
            .await
            .unwrap();
    let given = Given::default();
    let taken = Arc::clone(&given);
    let node = Node {
        version: "0.1.0".into(),
        url: format!("https://{HOST}"),
        data_dir: dir.to_owned(),
        watched: vec!["street0".into()],
        response_mode: "ask".into(),
        retention: Retention {
            incident_days: 400,
            asset_days: 400,
            journal_days: 400,
            counter_days: 400,
            most_bytes: 1 << 30,
        },
        channels: vec!["webhook"],
        least_told: Severity::Medium,
        settings: settings(),
        certificates: server::ca::Settings::default(),
        agents: server::agents::Settings::default(),
    };
    let doors = Doors::new(&[], &[], 8443);
    let orders: Option<server::Orders> = sensor.then(|| {
        Box::new(move |order| {
            let mut taken = taken.lock().unwrap();
            if taken.len() >= ROOM {
                return Err(OrderError::Busy);
            }
            taken.push(order);
            Ok(())
        }) as server::Orders
    });
    (AppState::new(repository, node, doors, orders).unwrap(), given)
}

/// The same server with its clock put by some seconds.
pub(crate) fn after(state: &AppState, secs: i64) -> AppState {
    let before = state.clone();
    state.clone().with_clock(Arc::new(move || before.now().plus_secs(secs)))
}

fn settings() -> Vec<Setting> {
    let setting = |key: &str, value: &str, source: &str, meaning: &str| Setting {
        key: key.into(),
        value: value.into(),
        source: source.into(),
        meaning: meaning.into(),
    };
    vec![
        setting(
            "server.listen",
            "\"127.0.0.1:8443\"",
            "default",
            "Where the console and the API are served.",
        ),
        setting(
            "server.name",
            "\"bastide.city.example\"",
            "file /etc/bastide.toml",
            "A further name of this server.",
        ),
        setting(
            "sensor.interfaces",
            "[\"street0\", \"uplink0\"]",
            "flag --sensor",
            "Interfaces that are watched.",
        ),
        setting(
            "response.mode",
            "\"ask\"",
            "default",
            "off, ask or auto, where nothing else is said for the kind.",
        ),
        setting(
            "notify.webhook",
            "(secret)",
            "environment BASTIDE_WEBHOOK",
            "Where new incidents are posted.",
        ),
    ]
}

/// Someone who is signed in.
pub(crate) struct Browser {
    state: AppState,
    cookie: String,
}

/// An answer, read to its end.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Browser {
    /// The first administrator.
    pub(crate) async fn sign_in(state: &AppState) -> Self {
        let person = server::auth::administrator(state.repository(), state.now()).await.unwrap();
        Self::sign_in_as(state, &person).await
    }

    pub(crate) async fn sign_in_as(state: &AppState, person: &store::Person) -> Self {
        let url = format!("https://{HOST}");
        let link =
            server::auth::make_link(state.repository(), &url, person, None, state.now(), 60).await.unwrap();
        Self::by_link(state, link.strip_prefix(&url).unwrap()).await
    }

    /// By the path of a link.
    pub(crate) async fn by_link(state: &AppState, path: &str) -> Self {
        let mut browser = Self { state: state.clone(), cookie: String::new() };
        let link = path.strip_prefix("/sign-in?").unwrap();
        let answer = browser.post("/sign-in/link", link).await;
        let cookie = answer.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        browser
    }

    pub(crate) fn stranger(state: &AppState) -> Self {
        Self { state: state.clone(), cookie: String::new() }
    }

    /// The same browser, which keeps one more cookie.
    pub(crate) fn with(&self, set: &str) -> Self {
        let kept = set.split(';').next().unwrap();
        let both = [self.cookie.as_str(), kept].into_iter().filter(|cookie| !cookie.is_empty());
        Self { state: self.state.clone(), cookie: both.collect::<Vec<_>>().join("; ") }
    }

    /// The same browser where the server's clock was put by some seconds.
    pub(crate) fn after(&self, secs: i64) -> Self {
        Self { state: after(&self.state, secs), cookie: self.cookie.clone() }
    }

    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, Body::empty()).await
    }

    /// Posts a form and goes where it leads, with what that put into the browser; and what is there when it is loaded again.
    pub(crate) async fn post_and_follow(&self, path: &str, form: &str) -> [Page; 2] {
        let led = self.post(path, form).await;
        assert_eq!(led.status, StatusCode::SEE_OTHER, "{path}: {}", led.text);
        let to = led.headers[header::LOCATION].to_str().unwrap();
        let kept = led.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        let shown = self.with(kept).get(to).await;
        let gone = shown.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(gone.starts_with(kept.split('=').next().unwrap()) && gone.contains("Max-Age=0"), "{gone}");
        [shown, self.get(to).await]
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Page {
        self.send(Method::POST, path, Body::from(form.to_owned())).await
    }

    /// A request as a program makes it, with the session where there is one.
    pub(crate) async fn ask(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Page {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        if !self.cookie.is_empty() {
            request = request.header(header::COOKIE, &self.cookie).header("sec-fetch-site", "same-origin");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let from = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000)));
        answered(&self.state, request.extension(from).body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> Page {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .header(header::COOKIE, &self.cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))))
            .body(body)
            .unwrap();
        answered(&self.state, request).await
    }
}

/// The answer; a stream is not read, because it does not end.
async fn answered(state: &AppState, request: Request<Body>) -> Page {
    let (parts, body) = server::router(state.clone()).oneshot(request).await.unwrap().into_parts();
    let text = match parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
        true => String::new(),
        false => String::from_utf8(axum::body::to_bytes(body, 16 << 20).await.unwrap().to_vec()).unwrap(),
    };
    Page { status: parts.status, headers: parts.headers, text }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A camera was taken over and floods a name server: logged into `ago` seconds before `now`.
pub(crate) fn takeover(now: Timestamp, ago: i64) -> Incident {
    incidents::takeover(now.plus_secs(-ago), "street0")
}

/// Somebody guesses passwords; of severity and number as given, the higher the longer ago.
pub(crate) fn guessing(now: Timestamp, number: usize, severity: Severity) -> Incident {
    incidents::guessing(number, now.plus_secs(-(number as i64) * 317 - 40), severity)
}

/// What a sensor reports of an asset: by its hardware address and addresses.
pub(crate) fn seen(asset: Asset) -> Report {
    let during = Some((asset.first_seen, asset.last_seen));
    let mac = asset.mac.map(Identifier::Mac).into_iter();
    let known = mac.chain(asset.addresses.iter().copied().map(Identifier::Address));
    let known = known.map(|by| Known { by, during }).collect();
    Report::Asset(Box::new(Observed { asset, known, talks: Vec::new() }))
}

pub(crate) fn asset(
    now: Timestamp,
    number: u8,
    name: Option<&str>,
    kind: &str,
    criticality: Criticality,
) -> Asset {
    let mac = Mac([2, 0, 0x5e, 0x10, 0, number]);
    Asset {
        id: mac.to_string(),
        authority_id: AuthorityId::local(),
        layer: Layer::Device,
        kind: Kind(kind.into()),
        confidence: 85,
        reasons: vec!["it serves RTSP".into(), "its DHCP name begins with cam".into()],
        criticality,
        status: AssetStatus::Discovered,
        name: name.map(str::to_owned),
        vendor: Some("Example Optics".into()),
        mac: Some(mac),
        addresses: vec![IpAddr::from([192, 168, 20, number])],
        functions: Vec::new(),
        first_seen: now.plus_secs(-86_400 * 3),
        last_seen: now.plus_secs(-i64::from(number)),
        declared: None,
    }
}

pub(crate) fn command(now: Timestamp, text: &str, action: Action, on: Target, hits: Vec<Hit>) -> Command {
    Command {
        id: CommandId::from_content(ContentHasher::new().part(text)),
        action,
        on,
        why: "it floods 198.51.100.53 with 10 412 packets/s".into(),
        hits,
        created: now.plus_secs(-30),
        expires: now.plus_secs(3_570),
        inverse: "let cam-07 talk again".into(),
        kind: Kind("camera".into()),
    }
}

pub(crate) fn plan(now: Timestamp, status: PlanStatus, commands: Vec<Command>) -> Plan {
    Plan {
        id: PlanId::from_content(ContentHasher::new().part(format!("{status:?}"))),
        incident: incident_id("takeover"),
        made: now.plus_secs(-30),
        status,
        commands,
        withheld: vec![Withheld { address: address("192.168.20.1"), reason: "it is a gateway".into() }],
        because: "the mode for cameras is ask".into(),
    }
}

pub(crate) fn isolate(now: Timestamp) -> Command {
    let hit = |text: &str, name: &str, criticality: Criticality, loses: &str| Hit {
        address: address(text),
        name: Some(name.into()),
        kind: Kind("camera".into()),
        criticality,
        loses: loses.into(),
    };
    let on = Target::Device {
        addresses: vec![address("192.168.20.17")],
        mac: Some(Mac([2, 0, 0x5e, 0x10, 0, 17])),
    };
    let hits = vec![
        hit("192.168.20.17", "cam-07", Criticality::Ordinary, "everything but DHCP, DNS and time"),
        hit("192.168.20.200", "recorder", Criticality::Ordinary, "1 flow from cam-07 (554/tcp)"),
    ];
    command(now, "isolate", Action::Isolate { keep: vec![address("192.168.20.1")] }, on, hits)
}

pub(crate) fn block(now: Timestamp) -> Command {
    let on = Target::Remote { address: address("203.0.113.80") };
    let mut command = command(now, "block", Action::Block, on, Vec::new());
    command.inverse = "let 203.0.113.80 be reached again".into();
    command.why = "it gives orders to cam-07".into();
    command
}

pub(crate) fn receipt(now: Timestamp, command: &Command, effect: Effect) -> Receipt {
    Receipt {
        command: command.id.clone(),
        at: now.plus_secs(-20),
        effect,
        packets_stopped: 41_022,
        packets_passed: 0,
        actuator: "nftables@router".into(),
    }
}

pub(crate) fn stats(now: Timestamp) -> Report {
    let input = |name: &str, dropped: u64| InputStatus {
        name: name.into(),
        kind: "interface".into(),
        records: 12_345_678,
        bytes: 9_876_543_210,
        dropped,
        skipped: 3,
        last: Some(now),
        problem: None,
    };
    let mut follow = input("/var/log/suricata/eve.json", 0);
    follow.kind = "file".into();
    follow.problem = Some("not there since 02:14; looking again every second".into());
    Report::Stats {
        status: Box::new(SensorStatus {
            at: Some(now),
            inputs: vec![input("street0", 0), input("uplink0", 1_204), follow],
            response_mode: "ask".into(),
            responding_stopped: false,
            commands_in_force: 1,
            counters: [("packets".to_owned(), 12_345_678), ("flows".to_owned(), 90_211)].into(),
        }),
        counted: Vec::new(),
    }
}

fn boxed_assets(now: Timestamp) -> Vec<Report> {
    let named = [
        (17, Some("cam-07"), "camera", Criticality::Ordinary),
        (21, Some("cam-08"), "camera", Criticality::Ordinary),
        (30, Some("lights-harbour-3"), "traffic-light", Criticality::Protected),
        (40, None, "unknown", Criticality::Unknown),
        (200, Some("recorder"), "recorder", Criticality::Important),
    ];
    named
        .iter()
        .map(|(number, name, kind, criticality)| seen(asset(now, *number, *name, kind, *criticality)))
        .collect()
}

/// A night with one attack, decided upon or not.
pub(crate) async fn night(state: &AppState, status: PlanStatus) {
    let now = state.now();
    let (isolate, block) = (isolate(now), block(now));
    let mut reports = boxed_assets(now);
    reports.push(stats(now));
    reports.push(Report::Incident(Box::new(takeover(now, 240))));
    for (number, severity) in
        [(1, Severity::Medium), (2, Severity::Low), (3, Severity::High), (4, Severity::Info)]
    {
        reports.push(Report::Incident(Box::new(guessing(now, number * 9, severity))));
    }
    reports.push(Report::Plan(Box::new(plan(now, status, vec![isolate.clone(), block.clone()]))));
    if status == PlanStatus::Active {
        reports.push(Report::Receipt(receipt(now.plus_secs(-5), &isolate, Effect::Applied)));
        reports.push(Report::Receipt(receipt(now, &isolate, Effect::Effective)));
        reports.push(Report::Receipt(receipt(now, &block, Effect::WithoutEffect)));
        reports.push(Report::Journal(JournalRow {
            seq: 1,
            at: now.plus_secs(-25),
            hash: "ab".repeat(32),
            entry: serde_json::json!({
                "seq": 1, "who": "administrator", "why": "it floods 198.51.100.53",
                "what": {"act": "approved", "plan": plan(now, status, Vec::new()).id},
            }),
        }));
    }
    take(state, reports).await;
}
