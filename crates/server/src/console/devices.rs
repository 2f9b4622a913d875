//! Letting devices in, and the certificates that they have.

use super::{
    actions::Fields,
    assets::choices,
    frame::{Frame, Trouble, Visit, page},
    people::called,
    shown,
    view::{self, Choice, Markup, Pager},
};
use crate::{
    api::{Parameters, Problem},
    auth::User,
    ca::{self, Act},
    enrol,
    reach::{Narrowed, Reach},
};
use askama::Template;
use axum::{
    extract::{Path, Query, RawForm},
    http::HeaderMap,
    response::{Redirect, Response},
};
use model::{AuthorityId, Timestamp};
use policy::Action;
use serde::{Deserialize, Serialize};
use store::{
    CertificateFilter, CertificateRecord, CertificateState, EnrolmentState, IssuerKey, IssuerState, Paging,
    Which,
};

const ENROLMENT: &str = "/enrolment";
/// Rows of a page.
const ROWS: u32 = 50;
/// What ends within so many days is shown as ending soon: by then it should have been renewed.
pub(super) const SOON_DAYS: i64 = 14;
const DAY: i64 = 86_400;

#[derive(Template)]
#[template(path = "enrolment.html")]
struct Enrolment {
    frame: Frame,
    waiting: Vec<Waiting>,
    waiting_more: u64,
    tokens: Vec<Token>,
    tokens_more: u64,
    makers: Vec<Maker>,
    profiles: Vec<Choice>,
    hours: Vec<Choice>,
    places: Vec<Choice>,
    /// Just made; shown this once.
    made: Option<Made>,
    url: String,
}

/// Somebody who waits for a person.
struct Waiting {
    id: String,
    of: String,
    whose: String,
    subject: String,
    key: String,
    place: String,
    asked: Markup,
    seen: Markup,
}

struct Token {
    id: String,
    of: String,
    whose: String,
    name: String,
    profile: String,
    asset: String,
    /// When it was used.
    used: Option<Markup>,
    ends: Markup,
    over: bool,
}

struct Maker {
    id: String,
    of: String,
    whose: String,
    name: String,
    profile: String,
    subject: String,
    ends: String,
}

#[derive(Serialize, Deserialize)]
struct Made {
    name: String,
    token: String,
    /// The label in EST's address; empty for the node's own authority.
    label: String,
}

/// `GET /enrolment`.
pub(super) async fn enrolment(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let made = shown::take::<Made>(&state, &user, ENROLMENT, &headers);
    let once = made.is_some();
    let read = async {
        let now = state.now();
        let few = Paging::new(1, ROWS);
        let whose = |id: &AuthorityId| if id == state.authority() { String::new() } else { id.to_string() };
        let waiting = state.repository().enrolments(Some(EnrolmentState::Waiting), few).await?;
        let tokens = state.repository().enrolment_tokens(few).await?;
        let tree = state.repository().tree().await?;
        let profiles = &state.ca().settings().profiles;
        let places = user.reach(Action::EnrolDevices);
        let places = places.iter().filter_map(|grant| tree.get(grant.authority()));
        let places =
            places.map(|known| Choice::new(known.id.as_str(), &called(known), state.authority().as_str()));
        Ok(Enrolment {
            waiting_more: waiting.total.saturating_sub(waiting.items.len() as u64),
            waiting: waiting
                .items
                .into_iter()
                .map(|one| Waiting {
                    of: view::of(&state, &one.authority),
                    whose: whose(&one.authority),
                    id: one.id,
                    subject: report::clipped(&one.subject, 300),
                    key: one.key,
                    place: one.place,
                    asked: view::ago(one.asked, now),
                    seen: view::ago(one.seen, now),
                })
                .collect(),
            tokens_more: tokens.total.saturating_sub(tokens.items.len() as u64),
            tokens: tokens
                .items
                .into_iter()
                .map(|one| Token {
                    of: view::of(&state, &one.authority),
                    whose: whose(&one.authority),
                    id: one.id,
                    name: one.name,
                    profile: one.profile,
                    asset: one.asset.unwrap_or_default(),
                    used: one.used.map(|at| view::ago(at, now)),
                    ends: view::left(one.expires, now),
                    over: one.expires <= now,
                })
                .collect(),
            makers: state.repository().makers().await?.into_iter().map(|one| maker(&state, one)).collect(),
            profiles: profiles.iter().map(|(name, _)| Choice::new(name, name, enrol::PROFILE)).collect(),
            hours: [("1", "an hour"), ("24", "a day"), ("168", "a week"), ("720", "30 days")]
                .iter()
                .map(|(value, label)| Choice::new(value, label, "24"))
                .collect(),
            places: places.collect(),
            url: state.node().url.clone(),
            frame: Frame::new(&state, &visit, "assets", "Let devices in").await,
            made,
        })
    };
    let shown: Enrolment = read.await.map_err(|problem: Problem| visit.trouble(problem))?;
    Ok(if once { shown::forget(page(&shown)) } else { page(&shown) })
}

fn maker(state: &crate::AppState, maker: store::Maker) -> Maker {
    let view = pki::View::of(&maker.body).ok();
    Maker {
        of: view::of(state, &maker.authority),
        whose: if maker.authority == *state.authority() {
            String::new()
        } else {
            maker.authority.to_string()
        },
        id: maker.id,
        name: maker.name,
        profile: maker.profile,
        subject: view.as_ref().map(|view| report::visible(&view.subject)).unwrap_or_default(),
        ends: view.map(|view| report::words::moment(view.ends)).unwrap_or_default(),
    }
}

/// `POST /enrolment/tokens`: makes one, which the page that follows shows this once.
pub(super) async fn make_token(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    RawForm(form): RawForm,
) -> Result<Response, Trouble> {
    let done = async {
        let fields = Fields::read(&form, &["name", "profile", "hours", "asset", "place"], &[])?;
        let some =
            |name: &str| fields.one(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let state = enrol::at(&state, &user, some("place").as_deref())?;
        let new = enrol::NewToken {
            name: some("name"),
            profile: some("profile").unwrap_or_else(|| enrol::PROFILE.to_owned()),
            asset: some("asset"),
            hours: some("hours").and_then(|hours| hours.parse().ok()).unwrap_or(enrol::TOKEN_HOURS),
        };
        let made = enrol::make_token(&state, &user, new).await?;
        let label = match made.token.authority == *state.authority() {
            true => String::new(),
            false => format!("{}/", made.token.authority),
        };
        let name = if made.token.name.is_empty() { "my-device".to_owned() } else { made.token.name };
        shown::lead_to(&state, &user, ENROLMENT, &Made { name, token: made.text, label })
    };
    done.await.map_err(|problem: Problem| visit.trouble(problem))
}

/// `POST /enrolment/tokens/{id}/revoke`.
pub(super) async fn revoke_token(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    enrol::revoke_token(&state, &user, &id).await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to(ENROLMENT))
}

/// `POST /enrolment/waiting/{id}/{deed}`.
pub(super) async fn judge(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path((id, deed)): Path<(String, String)>,
) -> Result<Redirect, Trouble> {
    let yes = match deed.as_str() {
        "approve" => true,
        "refuse" => false,
        other => return Err(visit.trouble(Problem::not_found("deed", other))),
    };
    enrol::judge(&state, &user, &id, yes).await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to(ENROLMENT))
}

/// `POST /enrolment/makers`.
pub(super) async fn trust(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    RawForm(form): RawForm,
) -> Result<Redirect, Trouble> {
    let done = async {
        let fields = Fields::read(&form, &["name", "profile", "certificate", "place"], &[])?;
        let one = |name: &str| fields.one(name).unwrap_or_default();
        let place = fields.one("place").filter(|place| !place.is_empty());
        let state = enrol::at(&state, &user, place.as_deref())?;
        enrol::trust(&state, &user, &one("name"), &one("profile"), &one("certificate")).await
    };
    done.await.map_err(|problem: Problem| visit.trouble(problem))?;
    Ok(Redirect::to("/enrolment#makers-h"))
}

/// `POST /enrolment/makers/{id}/remove`.
pub(super) async fn distrust(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    enrol::distrust(&state, &user, &id).await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to("/enrolment#makers-h"))
}

/// What the address of the certificates' page asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    text: String,
    state: String,
    days: String,
    page: String,
    #[serde(skip)]
    authority: String,
}

#[derive(Template)]
#[template(path = "certificates.html")]
struct Certificates {
    frame: Frame,
    asked: Asked,
    states: Vec<Choice>,
    ends: Vec<Choice>,
    filtered: bool,
    rows: Vec<Certificate>,
    pager: Pager,
    issuers: Vec<Issuer>,
}

/// A certificate as it stands in a table.
pub(super) struct Certificate {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) whose: String,
    pub(super) asset: String,
    pub(super) link: String,
    pub(super) profile: String,
    pub(super) state: String,
    pub(super) good: bool,
    pub(super) soon: bool,
    pub(super) ends: Markup,
    pub(super) fingerprint: String,
    pub(super) serial: String,
}

struct Issuer {
    id: String,
    name: String,
    state: IssuerState,
    key: &'static str,
    to_do: String,
    bounds: String,
    ends: Markup,
    number: u64,
}

/// `GET /certificates`.
pub(super) async fn certificates(
    Reach(state): Reach,
    visit: Visit,
    Query(narrowed): Query<Narrowed>,
    Parameters(mut asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    asked.authority = narrowed.authority.unwrap_or_default();
    let read = async {
        let now = state.now();
        let days = asked.days.parse::<i64>().ok().filter(|days| (1..=10_000).contains(days));
        let filter = CertificateFilter {
            asset: None,
            state: CertificateState::ALL.into_iter().find(|known| known.as_str() == asked.state),
            ends_before: days.map(|days| now.plus_secs(days * DAY)),
            ends_after: days.map(|_| now),
            text: Some(asked.text.trim().chars().take(200).collect::<String>())
                .filter(|text| !text.is_empty()),
        };
        let paging = Paging::new(asked.page.parse().unwrap_or(1), ROWS);
        let found = state.repository().certificates(&filter, paging).await?;
        let issuers = state.repository().issuers().await?;
        let to_do = ca::to_do(&state).await?;
        Ok(Certificates {
            states: choices(&CertificateState::ALL.map(CertificateState::as_str), &asked.state),
            ends: [
                ("", "any time"),
                ("7", "within 7 days"),
                ("14", "within 14 days"),
                ("30", "within 30 days"),
                ("90", "within 90 days"),
            ]
            .iter()
            .map(|(value, label)| Choice::new(value, label, &asked.days))
            .collect(),
            filtered: [&asked.text, &asked.state, &asked.days].iter().any(|text| !text.is_empty()),
            pager: Pager::new(&found, |page| {
                let page = if page == 1 { String::new() } else { page.to_string() };
                let pairs = [
                    ("text", asked.text.as_str()),
                    ("state", &asked.state),
                    ("days", &asked.days),
                    ("page", &page),
                    ("authority", &asked.authority),
                ];
                format!("/certificates{}", view::query(&pairs))
            }),
            rows: found.items.iter().map(|one| certificate(&state, one, now)).collect(),
            issuers: issuers.into_iter().map(|one| issuer(one, &to_do, now)).collect(),
            frame: Frame::new(&state, &visit, "assets", "Certificates").await,
            asked,
        })
    };
    let shown: Certificates = read.await.map_err(|problem: Problem| visit.trouble(problem))?;
    Ok(page(&shown))
}

/// A certificate's row.
pub(super) fn certificate(state: &crate::AppState, one: &CertificateRecord, now: Timestamp) -> Certificate {
    let of = view::of(state, &one.authority);
    let over = one.ends <= now;
    let good = one.is_good(now);
    let stands = match (one.state, one.reason.as_deref()) {
        (CertificateState::Good, _) if over => "over".to_owned(),
        (CertificateState::Good, _) => "good".to_owned(),
        (CertificateState::Held, _) => "suspended".to_owned(),
        (CertificateState::Revoked, None | Some("unspecified")) => "revoked".to_owned(),
        (CertificateState::Revoked, Some(reason)) => format!("revoked: {}", reason.replace('-', " ")),
    };
    let called = pki::View::of(&one.body).ok().and_then(|view| view.common_name);
    Certificate {
        name: report::clipped(called.as_deref().unwrap_or(&one.subject), 200),
        subject: report::visible(&one.subject),
        whose: if of.is_empty() { String::new() } else { one.authority.to_string() },
        link: one.asset.as_deref().map(|id| format!("/assets/{}{of}", view::encoded(id))).unwrap_or_default(),
        asset: one.asset.clone().unwrap_or_default(),
        profile: one.profile.clone(),
        state: stands,
        good,
        soon: good && one.ends <= now.plus_secs(SOON_DAYS * DAY),
        ends: if over { view::ago(one.ends, now) } else { view::left(one.ends, now) },
        fingerprint: one.fingerprint.clone(),
        serial: one.serial.clone(),
    }
}

fn issuer(one: store::IssuerRecord, to_do: &[ca::ToDo], now: Timestamp) -> Issuer {
    let bounds: pki::Bounds = serde_json::from_str(&one.bounds).unwrap_or_default();
    let within = bounds.domains.into_iter().chain(bounds.networks.iter().map(ToString::to_string));
    let within: Vec<String> = within.collect();
    let to_do = to_do.iter().filter(|about| about.issuer == one.id).map(|about| about.words.as_str());
    Issuer {
        to_do: to_do.collect::<Vec<_>>().join("; "),
        bounds: match (one.state, within.is_empty()) {
            (IssuerState::Root | IssuerState::Foreign, _) => "authorities below it".to_owned(),
            (_, true) => "no names of hosts, no addresses".to_owned(),
            (_, false) => within.join(", "),
        },
        id: one.id,
        name: report::visible(&one.name),
        state: one.state,
        key: match one.key {
            IssuerKey::Sealed(_) => "on this node, encrypted",
            IssuerKey::At(_) => "on a token",
            IssuerKey::Away => "elsewhere",
        },
        ends: view::left(one.ends, now),
        number: one.number,
    }
}

/// `POST /assets/{id}/{deed}`.
pub(super) async fn asset_stands(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path((id, deed)): Path<(String, String)>,
    RawForm(form): RawForm,
) -> Result<Redirect, Trouble> {
    let done = async {
        let fields = Fields::read(&form, &["reason", "why"], &[])?;
        let deed = Act::named(&deed)?;
        let some = |name: &str| fields.one(name).filter(|text| !text.trim().is_empty());
        let (reason, why) = (some("reason"), some("why"));
        ca::let_stand(&state, &user, Which::Asset(id.clone()), deed, reason.as_deref(), why.as_deref()).await
    };
    done.await.map_err(|problem: Problem| visit.trouble(problem))?;
    Ok(Redirect::to(&format!("/assets/{}{}#identity-h", view::encoded(&id), visit.query())))
}
