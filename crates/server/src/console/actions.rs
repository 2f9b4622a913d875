//! What the forms do: through [`crate::act`], then back to the page (POST, redirect, GET).
//!
//! After an order the answer waits a moment for what the sensor makes of it, so that the receipt stands on the page to
//! which the reader comes back.

use super::frame::{THEME_COOKIE, Trouble, Visit};
use crate::{
    AppState,
    act::{self, Closing, Narrow},
    api::{Problem, unknown},
    auth::{User, is_local_path},
    live::Change,
    reach::Reach,
};
use axum::{
    extract::{Path, RawForm},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use model::{CommandId, IncidentId, PlanId};
use std::{net::IpAddr, str::FromStr, time::Duration};
use store::IncidentState;

/// How long an answer waits for the sensor.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// `POST /plans/{id}/approve`.
pub(super) async fn approve(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    let id: PlanId = known(&visit, "plan", &id)?;
    let order = act::approve(&state, &user, &id);
    let record = ordered(&state, &visit, order, |record, change| match change {
        Change::Receipt { command, .. } => record.plan.commands.iter().any(|given| given.id == *command),
        Change::Plan { incident, .. } => *incident == record.plan.incident && record.plan.commands.is_empty(),
        _ => false,
    });
    let plan = record.await?.plan;
    Ok(Redirect::to(&format!("/incidents/{}{}#response", plan.incident, visit.query())))
}

/// `POST /plans/{id}/refuse`.
pub(super) async fn refuse(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    let id: PlanId = known(&visit, "plan", &id)?;
    let order = act::refuse(&state, &user, &id);
    let plan = ordered(
        &state,
        &visit,
        order,
        |_, change| matches!(change, Change::Plan { id: of, .. } if *of == id),
    );
    let incident = plan.await?.plan.incident;
    Ok(Redirect::to(&format!("/incidents/{incident}{}#response", visit.query())))
}

/// `POST /commands/{id}/undo`.
pub(super) async fn undo(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
    RawForm(form): RawForm,
) -> Result<Redirect, Trouble> {
    let id: CommandId = known(&visit, "command", &id)?;
    let fields = Fields::read(&form, &["back"], &[]).map_err(|problem| visit.trouble(problem))?;
    let order = act::undo(&state, &user, &id);
    let incident = ordered(
        &state,
        &visit,
        order,
        |_, change| matches!(change, Change::Receipt { command, .. } if *command == id),
    )
    .await?;
    let back = fields.one("back").filter(|back| back == "/");
    Ok(Redirect::to(&back.unwrap_or_else(|| format!("/incidents/{incident}{}#response", visit.query()))))
}

/// `POST /commands/undo-all`.
pub(super) async fn undo_all(Reach(state): Reach, visit: Visit, user: User) -> Result<Redirect, Trouble> {
    let order = act::undo_all(&state, &user);
    ordered(&state, &visit, order, |_, change| matches!(change, Change::Receipt { .. })).await?;
    Ok(Redirect::to("/"))
}

/// `POST /responding/stop`.
pub(super) async fn stop_responding(
    Reach(state): Reach,
    visit: Visit,
    user: User,
) -> Result<Redirect, Trouble> {
    set_responding(&state, &visit, &user, false).await
}

/// `POST /responding/resume`.
pub(super) async fn resume_responding(
    Reach(state): Reach,
    visit: Visit,
    user: User,
) -> Result<Redirect, Trouble> {
    set_responding(&state, &visit, &user, true).await
}

async fn set_responding(
    state: &AppState,
    visit: &Visit,
    user: &User,
    responding: bool,
) -> Result<Redirect, Trouble> {
    let order = act::set_responding(state, user, responding);
    let told = |_: &_, change: &Change| matches!(change, Change::Stats(status) if status.responding_stopped != responding);
    ordered(state, visit, order, told).await?;
    Ok(Redirect::to("/settings#responding"))
}

/// `POST /exceptions/{id}/revoke`.
pub(super) async fn revoke_exception(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    act::revoke_exception(&state, &user, &id).await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to("/settings#exceptions"))
}

/// `POST /incidents/{id}/reopen`.
pub(super) async fn reopen(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    let id: IncidentId = known(&visit, "incident", &id)?;
    act::reopen(&state, &user, &id).await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to(&format!("/incidents/{id}{}", visit.query())))
}

/// `POST /incidents/{id}/close`.
pub(super) async fn close(
    Reach(state): Reach,
    visit: Visit,
    user: User,
    Path(id): Path<String>,
    RawForm(form): RawForm,
) -> Result<Redirect, Trouble> {
    let id: IncidentId = known(&visit, "incident", &id)?;
    let closing = closing(&form).map_err(|problem| visit.trouble(problem))?;
    act::close(&state, &user, &id, closing).await.map_err(|problem| visit.trouble(problem))?;
    Ok(Redirect::to(&format!("/incidents/{id}{}", visit.query())))
}

fn closing(form: &[u8]) -> Result<Closing, Problem> {
    let fields = Fields::read(form, &["state", "reason", "days", "address", "peer"], &["detector"])?;
    let state = match fields.one("state").as_deref() {
        Some("resolved") => IncidentState::Resolved,
        Some("false-alarm") => IncidentState::FalseAlarm,
        _ => return Err(Problem::parameter("state", "`resolved` or `false-alarm`")),
    };
    let reason = fields.one("reason").unwrap_or_default();
    let days = fields.one("days").and_then(|days| days.parse().ok()).unwrap_or(act::EXCEPTION_DAYS);
    if state == IncidentState::Resolved {
        return Ok(Closing { state, reason, days, exceptions: Vec::new() });
    }
    let address = |name: &'static str| match fields.one(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text
            .parse::<IpAddr>()
            .map(Some)
            .map_err(|_| Problem::parameter(name, "an address of the incident")),
    };
    let (about, peer) = (address("address")?, address("peer")?);
    let exceptions: Vec<Narrow> = match about {
        Some(address) => fields
            .all("detector")
            .map(|detector| Narrow { detector: detector.to_owned(), address, peer })
            .collect(),
        None => Vec::new(),
    };
    if exceptions.is_empty() && fields.one("address").is_some() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no detector was chosen")
            .expected("at least one detector whose findings were wrong, or close the incident as resolved"));
    }
    Ok(Closing { state, reason, days, exceptions })
}

/// `POST /theme`: keeps the reader's choice and goes back.
pub(super) async fn theme(RawForm(form): RawForm) -> Result<Response, Problem> {
    let fields = Fields::read(&form, &["theme", "back"], &[])?;
    let theme = match fields.one("theme").as_deref() {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "system",
    };
    let back = fields.one("back").filter(|back| is_local_path(back)).unwrap_or_else(|| "/".into());
    let mut response = Redirect::to(&back).into_response();
    let cookie =
        format!("{THEME_COOKIE}={theme}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn known<T: FromStr>(visit: &Visit, what: &str, id: &str) -> Result<T, Trouble> {
    id.parse().map_err(|_| visit.trouble(Problem::not_found(what, id)))
}

/// Gives an order, and waits for the change that tells what came of it, or for [`PATIENCE`]: the page says how things stand
/// in either case.
async fn ordered<T>(
    state: &AppState,
    visit: &Visit,
    order: impl Future<Output = Result<T, Problem>>,
    hoped_for: impl Fn(&T, &Change) -> bool,
) -> Result<T, Trouble> {
    let mut changes = state.changes();
    let given = order.await.map_err(|problem| visit.trouble(problem))?;
    let arrival = async {
        loop {
            match changes.recv().await {
                Ok(change) if hoped_for(&given, &change) => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    };
    // Too late is no error: the page then shows that the order is on its way.
    let _ = tokio::time::timeout(PATIENCE, arrival).await;
    Ok(given)
}

/// The fields of a form, in their order.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    const MOST: usize = 256;

    /// Each of `once` may come once, each of `often` more often, and no other.
    ///
    /// # Errors
    /// [`Problem`] with the name of the field that is wrong.
    pub(super) fn read(form: &[u8], once: &[&str], often: &[&str]) -> Result<Self, Problem> {
        let wrong = |why: String| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "a field of the form is wrong").expected(why)
        };
        let mut fields: Vec<(String, String)> = Vec::new();
        for pair in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(split);
            let name = decoded(name);
            let is_once = once.contains(&name.as_str());
            if !is_once && !often.contains(&name.as_str()) {
                return Err(wrong(unknown("field", &name, &[once, often].concat())));
            }
            if is_once && fields.iter().any(|(before, _)| *before == name) {
                return Err(wrong(format!("duplicate field `{name}`, expected once")));
            }
            if fields.len() >= Self::MOST {
                return Err(wrong(format!("at most {} fields", Self::MOST)));
            }
            fields.push((name, decoded(value.strip_prefix(b"=").unwrap_or_default())));
        }
        Ok(Self(fields))
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn one(&self, name: &str) -> Option<String> {
        self.all(name).next().map(str::to_owned)
    }
}

/// Percent-decoding of a form's bytes; what is no UTF-8 becomes the replacement character.
fn decoded(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        match (*first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            (b'+', _) => {
                out.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        let form = b"reason=caf%C3%A9+%26+co&detector=a&detector=b&empty=&odd=%zz%4&&flag";
        let fields = Fields::read(form, &["reason", "empty", "odd", "flag"], &["detector"]).unwrap();
        assert_eq!(fields.one("reason").as_deref(), Some("café & co"));
        assert_eq!(fields.all("detector").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(fields.one("empty").as_deref(), Some(""));
        assert_eq!(fields.one("odd").as_deref(), Some("%zz%4"));
        assert_eq!(fields.one("flag").as_deref(), Some(""));
        assert_eq!(fields.one("missing"), None);
    }

    #[test]
    fn fields_that_nobody_reads_are_refused_and_so_is_one_twice() {
        let check = |form: &str, expected: &str| {
            let problem = Fields::read(form.as_bytes(), &["login", "name"], &["role"]).err().unwrap();
            assert_eq!(problem.what_was_expected(), Some(expected), "{form}");
        };
        check("login=a&isadmin=1", "unknown field `isadmin`, expected one of `login`, `name`, `role`");
        check("login=a&login=b", "duplicate field `login`, expected once");
        check("log%69n=a&login=b", "duplicate field `login`, expected once");
        check("=a", "unknown field ``, expected one of `login`, `name`, `role`");
        check("%0a%3cb%3e", "unknown field `\\n<b>`, expected one of `login`, `name`, `role`");
        check(&"role=a&".repeat(257), "at most 256 fields");
    }

    #[test]
    fn closing_as_a_false_alarm_needs_a_detector() {
        let check = |form: &str| closing(form.as_bytes());
        let narrow =
            check("state=false-alarm&reason=drill&days=7&address=10.0.0.7&peer=&detector=a&detector=b")
                .unwrap();
        assert_eq!(narrow.exceptions.len(), 2);
        assert_eq!((narrow.days, narrow.state), (7, IncidentState::FalseAlarm));
        assert!(narrow.exceptions.iter().all(|exception| exception.peer.is_none()));
        assert!(check("state=false-alarm&reason=x&address=10.0.0.7").is_err());
        assert!(check("state=false-alarm&reason=x&address=nowhere&detector=a").is_err());
        assert!(check("state=open").is_err());
        assert!(check("state=resolved&reason=done").unwrap().exceptions.is_empty());
    }
}
