//! Sensors on other machines: what they tell, and the orders that wait for them.
//!
//! Guarantees: whoever speaks as a sensor shows a certificate of the profile `sensor` that is good at this moment, and speaks
//! for its authority and of its own plans and commands only; a batch is kept before that is said, and the same batch twice is
//! one; an order goes to the sensor whose plan it is about, and what concerns all goes to all; a sensor that begins anew is told
//! first what holds now. Queues are bounded.

use crate::{
    AppState,
    api::Problem,
    ca::peer::Peer,
    intake::{self, Report},
    live::{Order, OrderError, SensorStatus},
    quarantine::{self, Untold},
    suspending,
};
use axum::{Extension, body::Body, http::StatusCode};
use model::AuthorityId;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use store::{CertificateRecord, SensorRecord};
use tokio::sync::{Notify, Semaphore};
use wire::{Ask, Heard, Invalid, Notices, Numbered, Orders, VERSION, limit};

/// The profile of sensors.
const PROFILE: &str = "sensor";
/// How many batches are read at the same time.
static READING: Semaphore = Semaphore::const_new(4);
/// A sensor that has not asked for orders for so long is out of reach.
const REACH: Duration = Duration::from_secs(3 * limit::WAIT_SECS);
/// How often it is written that a sensor was heard that had nothing to tell, in seconds.
const HEARD_EVERY: f64 = 30.0;
/// The most that a batch counts of anything: a sensor that says more does not count.
const MOST_COUNTED: u64 = 1 << 40;
/// How long the body of a batch may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sensors that are known at once.
const MOST: usize = 1_000;

/// A sensor by its authority and its asset there: ids are an authority's own.
type Key = (AuthorityId, String);

/// The sensors that have spoken since the start.
#[derive(Default)]
pub(crate) struct Sensors(Mutex<HashMap<Key, Remote>>);

/// A sensor on another machine.
struct Remote {
    status: SensorStatus,
    waiting: VecDeque<(u64, Order)>,
    /// The number of the last order.
    last: u64,
    asked: Option<Instant>,
    wake: Arc<Notify>,
}

impl Remote {
    fn new() -> Self {
        let (status, waiting) = (SensorStatus::default(), VecDeque::new());
        Self { status, waiting, last: 0, asked: None, wake: Arc::default() }
    }

    fn is_in_reach(&self) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() < REACH)
    }

    fn push(&mut self, order: Order) -> Result<(), OrderError> {
        if order.is_state() {
            // What holds now takes the place of what held before.
            let kind = std::mem::discriminant(&order);
            self.waiting.retain(|(_, earlier)| std::mem::discriminant(earlier) != kind);
        }
        if self.waiting.len() >= limit::ORDERS {
            return Err(OrderError::Busy);
        }
        self.last = self.last.saturating_add(1);
        self.waiting.push_back((self.last, order));
        self.wake.notify_one();
        Ok(())
    }
}

impl Sensors {
    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Remote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an authority has any that takes orders.
    pub(crate) fn any_of(&self, authority: &AuthorityId) -> bool {
        self.locked().iter().any(|((of, _), sensor)| of == authority && sensor.is_in_reach())
    }

    /// Whether this one does.
    pub(crate) fn is_in_reach(&self, authority: &AuthorityId, id: &str) -> bool {
        self.locked().get(&key(authority, id)).is_some_and(Remote::is_in_reach)
    }

    /// What this one said last of itself.
    pub(crate) fn status(&self, authority: &AuthorityId, id: &str) -> Option<SensorStatus> {
        self.locked().get(&key(authority, id)).map(|sensor| sensor.status.clone())
    }

    /// An order for one of them.
    pub(crate) fn order(&self, authority: &AuthorityId, id: &str, order: Order) -> Result<(), OrderError> {
        match self.locked().get_mut(&key(authority, id)).filter(|sensor| sensor.is_in_reach()) {
            Some(sensor) => sensor.push(order),
            None => Err(OrderError::Away),
        }
    }

    /// An order for all of an authority; those out of reach find it when they are back. How many there are.
    pub(crate) fn order_all(&self, authority: &AuthorityId, order: &Order) -> Result<usize, OrderError> {
        let mut all = self.locked();
        let theirs = all.iter_mut().filter(|((of, _), _)| of == authority).map(|(_, sensor)| sensor);
        let mut given = 0;
        let mut outcome = Ok(());
        for sensor in theirs {
            given += 1;
            outcome = sensor.push(order.clone()).and(outcome);
        }
        outcome.map(|()| given)
    }

    fn said(&self, id: &str, authority: &AuthorityId, status: SensorStatus) {
        let mut all = self.locked();
        let key = key(authority, id);
        if all.len() < MOST || all.contains_key(&key) {
            all.entry(key).or_insert_with(Remote::new).status = status;
        }
    }

    /// A sensor asks: those up to `after` are done with. Whether it has to be told first what holds now.
    fn asks(&self, id: &str, authority: &AuthorityId, after: u64, first: u64) -> Option<bool> {
        let mut all = self.locked();
        let key = key(authority, id);
        if all.len() >= MOST && !all.contains_key(&key) {
            return None;
        }
        let sensor = all.entry(key).or_insert_with(Remote::new);
        // Nobody is done with what was not given yet: such a number is of a clock that was ahead, and counts for nothing.
        let after = if after > sensor.last.max(first) { 0 } else { after };
        // Numbers go on rising, also over restarts of this program and by whatever the sensor took before.
        let anew =
            sensor.asked.is_none() || after == 0 && sensor.waiting.iter().all(|(_, order)| !order.is_state());
        sensor.last = sensor.last.max(after).max(first);
        sensor.waiting.retain(|(number, _)| *number > after || after == 0);
        sensor.asked = Some(Instant::now());
        Some(anew)
    }

    fn waiting(&self, authority: &AuthorityId, id: &str) -> (Vec<(u64, Order)>, Arc<Notify>) {
        match self.locked().get_mut(&key(authority, id)) {
            Some(sensor) => {
                sensor.asked = Some(Instant::now());
                (sensor.waiting.iter().cloned().collect(), Arc::clone(&sensor.wake))
            }
            None => (Vec::new(), Arc::default()),
        }
    }
}

fn key(authority: &AuthorityId, id: &str) -> Key {
    (authority.clone(), id.to_owned())
}

/// The sensor at the other end, with the state in the name of its authority.
pub(crate) struct Sensor {
    state: AppState,
    id: String,
    certificate: CertificateRecord,
}

impl Sensor {
    /// By the certificate that was shown in TLS.
    pub(crate) async fn of(state: &AppState, peer: Option<Extension<Peer>>) -> Result<Self, Problem> {
        let peer = peer.map(|Extension(peer)| peer).unwrap_or_default();
        let expected =
            "the certificate of a sensor that is enrolled here (bastide sensor --server URL --token TOKEN)";
        let none = || {
            Problem::new(StatusCode::UNAUTHORIZED, "no certificate of this node was shown in TLS")
                .expected(expected)
        };
        let certificate = peer.known(state).await?.ok_or_else(none)?;
        let id = certificate.asset.clone().filter(|_| certificate.profile == PROFILE).ok_or_else(|| {
            let profile = &certificate.profile;
            Problem::new(
                StatusCode::FORBIDDEN,
                format!(
                    "the certificate that was shown is of the profile {profile}, and only sensors speak here"
                ),
            )
            .expected(expected)
        })?;
        Ok(Self { state: state.in_name_of(&certificate.authority).of_sensor(&id), id, certificate })
    }

    /// Takes a batch of what it noticed.
    pub(crate) async fn notices(&self, body: Body) -> Result<Heard, Problem> {
        let busy = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
        let reading = READING.acquire().await.map_err(busy)?;
        let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the notices take too long to come");
        let body = read(body, limit::NOTICES_BYTES, "notices");
        let body = tokio::time::timeout(PATIENCE, body).await.map_err(slow)??;
        let Notices { number, shed, program, notices, .. } = Notices::from_json(&body).map_err(unfit)?;
        drop(body);
        let mut reports = Vec::with_capacity(notices.len());
        for (place, notice) in notices.into_iter().enumerate() {
            reports.push(serde_json::from_value::<Report>(notice).map_err(|error| {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`notices[{place}]` is none: {error}"))
                    .expected(format!("a notice of version {VERSION}"))
            })?);
        }
        drop(reading);
        // What this server itself carries out is offered by it alone.
        reports.retain(|report| !matches!(report, Report::Plan(plan) if suspending::is_here(plan)));
        let repository = self.state.repository();
        let known = repository.sensor_on(&self.id).await?;
        let heard = Heard { version: VERSION, number };
        if number > 0 && known.as_ref().is_some_and(|known| number <= known.number) {
            return Ok(heard);
        }
        let counted = self.figures(&mut reports, number);
        intake::take_now(&self.state, &reports).await.map_err(|error| {
            tracing::error!(sensor = %self.id, %error, "what a sensor told is not kept yet");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it cannot be kept now; tell it again")
        })?;
        // Figures come every few seconds: that it was heard once more need not be written each time.
        let lately = |known: &SensorRecord| self.state.now().seconds_since(known.heard) < HEARD_EVERY;
        if number == 0 && known.as_ref().is_some_and(lately) {
            return Ok(heard);
        }
        let sensor = SensorRecord {
            authority: repository.authority().clone(),
            id: self.id.clone(),
            name: self.name(),
            program,
            number,
            shed,
            heard: self.state.now(),
        };
        repository.sensor_heard(sensor, counted).await?;
        Ok(heard)
    }

    /// Takes the figures out of what is reported: they are counted with the number of the batch.
    fn figures(&self, reports: &mut Vec<Report>, number: u64) -> Vec<(&'static str, u64)> {
        let mut counted = Vec::new();
        reports.retain(|report| {
            let Report::Stats { status, counted: amounts } = report else { return true };
            self.state.sensors().said(&self.id, self.state.repository().authority(), (**status).clone());
            let known = |name: &str| intake::COUNTED.iter().copied().find(|known| *known == name);
            counted.extend(
                amounts.iter().filter_map(|(name, amount)| Some((known(name)?, (*amount).min(MOST_COUNTED)))),
            );
            false
        });
        if number == 0 { Vec::new() } else { counted }
    }

    fn name(&self) -> String {
        let view = pki::View::of(&self.certificate.body).ok();
        view.and_then(|view| view.common_name).unwrap_or_else(|| self.certificate.subject.clone())
    }

    /// The orders that wait for it; where there are none, it waits for them.
    pub(crate) async fn orders(&self, body: Body) -> Result<Orders, Problem> {
        let body = read(body, limit::ANSWER_BYTES, "question").await?;
        let Ask { after, .. } = Ask::from_json(&body).map_err(unfit)?;
        let (sensors, authority) = (self.state.sensors(), self.state.repository().authority());
        let first = self.state.now().micros().unsigned_abs();
        let anew = sensors.asks(&self.id, authority, after, first).ok_or_else(|| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many sensors speak to this server")
                .expected(format!("at most {MOST}"))
        })?;
        if anew {
            self.tell_what_holds().await?;
        }
        let until = tokio::time::sleep(Duration::from_secs(limit::WAIT_SECS));
        tokio::pin!(until);
        let orders = loop {
            let (waiting, wake) = sensors.waiting(authority, &self.id);
            if !waiting.is_empty() {
                break waiting;
            }
            tokio::select! {
                () = wake.notified() => {}
                () = &mut until => break Vec::new(),
                () = self.state.stopping() => break Vec::new(),
            }
        };
        let mut numbered = Vec::with_capacity(orders.len());
        for (number, order) in orders {
            let order = serde_json::to_value(order).map_err(|error| {
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("an order cannot be written: {error}"),
                )
            })?;
            numbered.push(Numbered { number, order });
        }
        Ok(Orders { version: VERSION, orders: numbered })
    }

    async fn tell_what_holds(&self) -> Result<(), Problem> {
        let repository = self.state.repository();
        let who = || "bastide".to_owned();
        let exceptions = repository.exceptions_in_force(self.state.now()).await?;
        match quarantine::tell(&self.state, "bastide").await {
            Ok(()) | Err(Untold::Order(_)) => {}
            Err(Untold::Store(error)) => return Err(error.into()),
        }
        let (known, assets) = (repository.known_assets().await?, repository.suspended().await?);
        for order in
            [Order::Exceptions(exceptions), Order::Known(known), Order::Suspended { assets, who: who() }]
        {
            self.state
                .sensors()
                .order(self.state.repository().authority(), &self.id, order)
                .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
        }
        Ok(())
    }
}

async fn read(body: Body, most: usize, what: &str) -> Result<axum::body::Bytes, Problem> {
    axum::body::to_bytes(body, most).await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the {what} cannot be read to the end"))
            .expected(format!("at most {most} bytes"))
    })
}

fn unfit(error: Invalid) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}
