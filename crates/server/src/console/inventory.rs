//! The inventory as people keep it: lists, what is declared of one asset or of many, what is one device.

use super::{
    actions::Fields,
    frame::{Frame, Trouble, Visit, page},
    view::{self, Choice, Markup},
};
use crate::{AppState, api::Problem, auth::User, inventory, reach::Reach};
use askama::Template;
use axum::{
    body::Body,
    extract::{Path, RawForm},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use identify::import::Column;
use model::{Asset, Criticality, Identifier, Kind, Layer, Maintenance, Service, Talk, Timestamp};
use std::cmp::Reverse;
use store::{Saying, Says, Source};

/// Others with whom an asset talks that are shown.
const MOST_TALKS: usize = 32;

/// The longest form with a list, in bytes: some letters are written as three.
const MOST_FORM: usize = 2 * inventory::MOST_BYTES;

const CRITICALITIES: [Criticality; 4] =
    [Criticality::Protected, Criticality::Important, Criticality::Ordinary, Criticality::Unknown];

/// What can be declared in a form, in the order in which it takes hold.
const DECLARED: [Column; 9] = [
    Column::Name,
    Column::Kind,
    Column::Layer,
    Column::Owner,
    Column::Place,
    Column::District,
    Column::Criticality,
    Column::Maintenance,
    Column::Note,
];

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    text: String,
    /// What came of a list that was tried.
    tried: Option<String>,
    problem: Option<String>,
    expected: String,
    faults: Vec<String>,
}

/// `GET /assets/list`.
pub(super) async fn show(Reach(state): Reach, visit: Visit) -> Response {
    page(&form(&state, &visit, String::new(), Ok(None)).await)
}

/// `POST /assets/list`: takes a list, or only tries it.
pub(super) async fn list(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    body: Body,
) -> Result<Response, Trouble> {
    let bytes = axum::body::to_bytes(body, MOST_FORM).await.map_err(|_| {
        visit.trouble(
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the list is too long")
                .expected(format!("at most {} MiB", inventory::MOST_BYTES >> 20)),
        )
    })?;
    let fields = Fields::read(&bytes, &["list", "try"], &[]).map_err(|problem| visit.trouble(problem))?;
    let text = fields.one("list").unwrap_or_default();
    let only_try = fields.one("try").is_some();
    match inventory::list(&state, &user, text.clone().into_bytes(), only_try).await {
        Ok((number, _)) if only_try => {
            let tried = format!("Nothing is wrong with it: {number} assets. Nothing was taken yet.");
            Ok(page(&form(&state, &visit, text, Ok(Some(tried))).await))
        }
        Ok(_) => Ok(Redirect::to(&format!("/assets{}", visit.query())).into_response()),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            let body = form(&state, &visit, text, Err(problem)).await;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&body)).into_response())
        }
        Err(problem) => Err(visit.trouble(problem)),
    }
}

async fn form(
    state: &AppState,
    visit: &Visit,
    text: String,
    came: Result<Option<String>, Problem>,
) -> ListPage {
    let frame = Frame::new(state, visit, "assets", "List assets").await;
    let (tried, problem) = match came {
        Ok(tried) => (tried, None),
        Err(problem) => (None, Some(problem)),
    };
    let expected = problem.as_ref().and_then(Problem::what_was_expected).unwrap_or_default().to_owned();
    let faults = problem.as_ref().map(|problem| problem.each().to_vec()).unwrap_or_default();
    let problem = problem.map(|problem| problem.detail().to_owned());
    ListPage { frame, text, tried, problem, expected, faults }
}

/// `POST /assets/declare`: of those that were chosen, what was filled in; of one with all its fields, all of them.
pub(super) async fn declare(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    RawForm(raw): RawForm,
) -> Result<Redirect, Trouble> {
    let names: Vec<&str> = DECLARED.iter().map(|column| column.as_str()).chain(["whole", "back"]).collect();
    let done = async {
        let fields = Fields::read(&raw, &names, &["ids"])?;
        let whole = fields.one("whole").is_some();
        let columns = DECLARED.iter().filter_map(|column| {
            let text = fields.one(column.as_str()).unwrap_or_default();
            (whole || !text.trim().is_empty()).then_some((*column, text))
        });
        let columns = columns.collect();
        let ids: Vec<String> = fields.all("ids").map(str::to_owned).collect();
        let assets = inventory::declare(&state, &user, ids, columns).await?;
        let back = fields.one("back").filter(|back| back.starts_with("/assets"));
        let one = || {
            assets
                .first()
                .filter(|_| whole)
                .map(|asset| format!("/assets/{}#declared-h", view::encoded(&asset.id)))
        };
        Ok(back.or_else(one).unwrap_or_else(|| "/assets".to_owned()))
    };
    let to: String = done.await.map_err(|problem: Problem| visit.trouble(problem))?;
    Ok(Redirect::to(&to))
}

/// `POST /assets/{id}/unlist`.
pub(super) async fn unlist(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    inventory::unlist(&state, &user, &id).await.map_err(|problem| visit.trouble(problem))?;
    let stays = state.repository().asset(&id).await.map_err(|error| visit.trouble(error))?.is_some();
    let to = if stays { format!("/assets/{}", view::encoded(&id)) } else { "/assets".to_owned() };
    Ok(Redirect::to(&format!("{to}{}", visit.query())))
}

/// `POST /assets/{id}/join`.
pub(super) async fn join(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
    RawForm(raw): RawForm,
) -> Result<Redirect, Trouble> {
    let done = async {
        let fields = Fields::read(&raw, &["with"], &[])?;
        let with = fields.one("with").unwrap_or_default();
        inventory::join(&state, &user, &id, with.trim()).await
    };
    let asset = done.await.map_err(|problem: Problem| visit.trouble(problem))?;
    Ok(to(&asset, &visit))
}

/// `POST /assets/{id}/part`.
pub(super) async fn part(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
    RawForm(raw): RawForm,
) -> Result<Redirect, Trouble> {
    let done = async {
        let fields = Fields::read(&raw, &["source", "subject"], &[])?;
        let one = |name: &str| fields.one(name).unwrap_or_default();
        inventory::part(&state, &user, &id, &one("source"), &one("subject")).await
    };
    let asset = done.await.map_err(|problem: Problem| visit.trouble(problem))?;
    Ok(to(&asset, &visit))
}

fn to(asset: &Asset, visit: &Visit) -> Redirect {
    Redirect::to(&format!("/assets/{}{}#sources-h", view::encoded(&asset.id), visit.query()))
}

/// A source of an asset, as it stands on its page.
pub(super) struct SourceRow {
    pub(super) source: String,
    pub(super) subject: String,
    pub(super) called: &'static str,
    pub(super) known: Vec<String>,
}

/// A source as it stands on the page.
pub(super) fn row(saying: &Saying) -> SourceRow {
    let known = saying.known();
    let mut texts: Vec<String> =
        known.iter().take(12).map(|known| report::clipped(&lead(&known.by), 120)).collect();
    if known.len() > texts.len() {
        texts.push(format!("and {} more", known.len() - texts.len()));
    }
    SourceRow {
        source: saying.source.to_string(),
        subject: saying.subject.clone(),
        called: match (&saying.source, &saying.says) {
            (Source::Enrolment, _) => "it was let in",
            (_, Says::Listed(_)) => "somebody listed it",
            (_, Says::Seen(_)) => "seen in traffic",
        },
        known: texts,
    }
}

fn lead(by: &Identifier) -> String {
    let text = by.to_string();
    text.strip_prefix("the ").unwrap_or(&text).to_owned()
}

/// With whom an asset talks, as it stands on its page.
pub(super) struct TalkRow {
    pub(super) peer: String,
    pub(super) what: String,
    pub(super) asks: bool,
    pub(super) count: u64,
    pub(super) last: Markup,
}

/// With whom an asset talks as sensors saw it, the last first.
pub(super) fn talks(sayings: &[Saying], now: Timestamp) -> Vec<TalkRow> {
    let seen = sayings.iter().filter_map(|saying| match &saying.says {
        Says::Seen(observed) => Some(&observed.talks),
        Says::Listed(_) => None,
    });
    let mut talks: Vec<&Talk> = seen.flatten().collect();
    talks.sort_by_key(|talk| Reverse(talk.last));
    let row = |talk: &&Talk| TalkRow {
        peer: talk.peer.to_string(),
        what: match talk.service {
            Service::Unknown => format!("port {}", talk.port),
            service => format!("{}, port {}", service.as_str(), talk.port),
        },
        asks: talk.asks,
        count: talk.count,
        last: view::ago(talk.last, now),
    };
    talks.iter().take(MOST_TALKS).map(row).collect()
}

/// What is declared of an asset, as the fields of a form.
pub(super) struct Form {
    /// Name of the field, label, value.
    pub(super) texts: Vec<(&'static str, &'static str, String)>,
    pub(super) kinds: Vec<Choice>,
    pub(super) layers: Vec<Choice>,
    pub(super) criticalities: Vec<Choice>,
    /// Somebody listed it.
    pub(super) listed: bool,
}

/// The form for what all these say; empty fields where nobody declared anything.
pub(super) fn form_of(sayings: &[Saying]) -> Form {
    let listed = sayings.iter().filter_map(|saying| match &saying.says {
        Says::Listed(listed) => Some(listed),
        Says::Seen(_) => None,
    });
    let last = listed.max_by_key(|listed| listed.at);
    let row = last.map(|listed| listed.row.clone()).unwrap_or_default();
    // What came with the kind goes with it: only what differs was said.
    let meant = row.kind.as_ref().and_then(inventory::meaning);
    let layer = row.layer.filter(|layer| meant.is_none_or(|(meant, _)| meant != *layer));
    let criticality = row.criticality.filter(|one| meant.is_none_or(|(_, meant)| meant != *one));
    let text = |text: Option<String>| text.unwrap_or_default();
    let windows: Vec<String> = row.maintenance.iter().map(Maintenance::to_string).collect();
    Form {
        texts: vec![
            ("name", "Name", text(row.name)),
            ("owner", "Owner", text(row.owner)),
            ("place", "Place", text(row.place)),
            ("district", "District", text(row.district)),
            ("maintenance", "Maintenance windows", windows.join("; ")),
            ("note", "Note", text(row.note)),
        ],
        kinds: kinds("as it is guessed", row.kind.as_ref().map_or("", Kind::as_str)),
        layers: words("as its kind says", &Layer::ALL.map(Layer::as_str), layer.map_or("", Layer::as_str)),
        criticalities: words(
            "as its kind says",
            &CRITICALITIES.map(Criticality::as_str),
            criticality.map_or("", Criticality::as_str),
        ),
        listed: last.is_some(),
    }
}

/// What can be declared of many at once.
pub(super) struct Bulk {
    pub(super) kinds: Vec<Choice>,
    pub(super) criticalities: Vec<Choice>,
}

/// The form for many: what is left as it is stands first.
pub(super) fn bulk() -> Bulk {
    Bulk {
        kinds: kinds("as it is", ""),
        criticalities: words("as it is", &CRITICALITIES.map(Criticality::as_str), ""),
    }
}

fn kinds(none: &str, chosen: &str) -> Vec<Choice> {
    words(none, &inventory::kinds(), chosen)
}

fn words(none: &str, words: &[&str], chosen: &str) -> Vec<Choice> {
    let none = std::iter::once(Choice::new("", none, chosen));
    none.chain(words.iter().map(|word| Choice::new(word, word, chosen))).collect()
}
