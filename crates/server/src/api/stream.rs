//! The stream of changes, as server-sent events.
//!
//! Guarantees: at most [`STREAMS`] at once; a reader that falls behind gets `resync` and reads again; a stream ends with
//! the session that opened it, and when the server stops.

use super::Problem;
use crate::{AppState, auth, live::Change, reach::Reach};
use axum::{
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use policy::Action;
use std::{
    convert::Infallible,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast},
    time::{Interval, MissedTickBehavior},
};

/// Streams at once.
const STREAMS: usize = 128;
/// How often the session is looked at again.
const RECHECK: Duration = Duration::from_secs(30);

static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(STREAMS)));

struct Reader {
    state: AppState,
    changes: broadcast::Receiver<Change>,
    headers: HeaderMap,
    recheck: Interval,
    _place: OwnedSemaphorePermit,
}

/// Changes as they happen: `incident`, `plan`, `receipt`, `asset`, `exceptions`, `stats`, `resync`.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "node",
    responses(
        (status = 200, description = "Server-sent events; the data of each is JSON", content_type = "text/event-stream", body = String),
        (status = 503, description = "Too many streams", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn stream(Reach(state): Reach, headers: HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&ROOM).try_acquire_owned() else {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open")
            .expected(format!("at most {STREAMS} at once"))
            .into_response();
    };
    let mut recheck = tokio::time::interval(RECHECK);
    recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader { changes: state.changes(), state, headers, recheck, _place: place };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = next(&mut reader).await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response();
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

async fn next(reader: &mut Reader) -> Option<Event> {
    loop {
        // In this order: figures come every second, and must not keep the session from being looked at.
        let change = tokio::select! {
            biased;
            () = reader.state.stopping() => return None,
            _ = reader.recheck.tick() => {
                match auth::identify(&reader.state, &reader.headers).await {
                    // The session, and what it may see, can be taken away meanwhile.
                    Ok(Some(user)) if user.may_here(Action::SeeIncidents).is_ok() => continue,
                    _ => return None,
                }
            }
            change = reader.changes.recv() => match change {
                Ok(change) => change,
                Err(broadcast::error::RecvError::Lagged(_)) => Change::Resync,
                Err(broadcast::error::RecvError::Closed) => return None,
            },
        };
        match Event::default().event(change.name()).json_data(&change) {
            Ok(event) => return Some(event),
            Err(error) => tracing::error!(%error, "a change could not be written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ends_with_its_session_however_much_there_is_to_tell() {
        let dir = tempfile::tempdir().unwrap();
        let state = AppState::bare(dir.path()).await;
        let place = Arc::clone(&ROOM).try_acquire_owned().unwrap();
        let mut recheck = tokio::time::interval(Duration::from_millis(100));
        recheck.reset();
        let (changes, headers) = (state.changes(), HeaderMap::new());
        let mut reader = Reader { changes, state: state.clone(), headers, recheck, _place: place };
        let busy = tokio::spawn(async move {
            loop {
                state.announce(Change::Exceptions);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let told = tokio::time::timeout(Duration::from_secs(20), async {
            let mut told = 0;
            while next(&mut reader).await.is_some() {
                told += 1;
            }
            told
        });
        assert!(told.await.unwrap() > 0);
        busy.abort();
    }
}
