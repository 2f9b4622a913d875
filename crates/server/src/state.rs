//! What every request handler can reach.

use crate::auth::{Attempts, User};
use crate::ca::{Ca, peer::Sessions};
use crate::guard::Doors;
use crate::live::{BACKLOG, Change, Order, OrderError, Orders, SensorStatus};
use crate::people::{Proofs, StartError};
use crate::sensors::Sensors;
use crate::witness::Witnessing;
use ledger::Deed;
use model::{AuthorityId, IncidentId, Suspension, Timestamp};
use policy::DecisionPoint;
use serde::Serialize;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};
use store::Repository;
use tokio::sync::{broadcast, watch};

/// How many looks at evidence are remembered.
const LOOKS: usize = 4_096;

/// What says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What every request handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    clock: Clock,
    shared: Arc<Shared>,
    /// What is kept, as far as this reaches.
    repository: Repository,
    /// Whether the authority of the node itself is reached: what its sensor says and does is its business.
    own: bool,
}

struct Shared {
    authority: AuthorityId,
    point: Arc<DecisionPoint>,
    changes: broadcast::Sender<Change>,
    orders: Option<Orders>,
    sensor: Mutex<SensorStatus>,
    sensors: Sensors,
    node: Node,
    doors: Doors,
    attempts: Attempts,
    proofs: Proofs,
    ca: Ca,
    looks: Mutex<HashMap<(String, Deed, IncidentId), Timestamp>>,
    started: Instant,
    stopping: watch::Sender<bool>,
    telling_exceptions: tokio::sync::Mutex<()>,
    /// Told when an asset is listed, enrolled, or declared to be something.
    known: tokio::sync::Notify,
    /// What the sensors of an authority were last told to be suspended; unset where they do not know.
    suspended: tokio::sync::Mutex<HashMap<AuthorityId, Vec<Suspension>>>,
    witnessing: OnceLock<Witnessing>,
}

/// This node, as it was started.
#[derive(Clone, Debug)]
pub struct Node {
    /// Bastide's version.
    pub version: String,
    /// Where the console lives, such as `https://localhost:8443`.
    pub url: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Interfaces and files that are watched; empty for a console over existing data.
    pub watched: Vec<String>,
    /// `off`, `ask` or `auto` where nothing else is said for the kind.
    pub response_mode: String,
    /// How long records stay and how much disk they may take.
    pub retention: store::Retention,
    /// Where new incidents are told, such as `webhook`.
    pub channels: Vec<&'static str>,
    /// Incidents below this severity are not told there.
    pub least_told: model::Severity,
    /// All settings with their meaning and where each came from; secrets are masked.
    pub settings: Vec<Setting>,
    /// What is set about certificates.
    pub certificates: crate::ca::Settings,
    /// What agents are told.
    pub agents: crate::agents::Settings,
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its table and key, such as `server.listen`.
    pub key: String,
    /// Its value as TOML; `(secret)` for what must not be shown.
    pub value: String,
    /// `default`, `file`, `environment` or `flag`, with the name where there is one.
    pub source: String,
    /// What it does.
    pub meaning: String,
}

impl AppState {
    /// Everything together. `orders` is unset where no sensor runs.
    ///
    /// # Errors
    /// [`StartError`] where the policies that are shipped or the node's key cannot be used.
    pub fn new(
        repository: Repository,
        node: Node,
        doors: Doors,
        orders: Option<Orders>,
    ) -> Result<Self, StartError> {
        let (changes, _) = broadcast::channel(BACKLOG);
        let sensor =
            Mutex::new(SensorStatus { response_mode: node.response_mode.clone(), ..SensorStatus::default() });
        let stopping = watch::Sender::new(false);
        let started = Instant::now();
        let shared = Arc::new(Shared {
            authority: repository.authority().clone(),
            point: Arc::new(DecisionPoint::new()?),
            changes,
            orders,
            sensor,
            sensors: Sensors::default(),
            proofs: Proofs::open(&node)?,
            ca: Ca::open(&node)?,
            node,
            doors,
            attempts: Attempts::default(),
            looks: Mutex::default(),
            started,
            stopping,
            telling_exceptions: tokio::sync::Mutex::default(),
            known: tokio::sync::Notify::new(),
            suspended: tokio::sync::Mutex::default(),
            witnessing: OnceLock::new(),
        });
        Ok(Self { clock: Arc::new(system_time), shared, repository, own: true })
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same, reaching the records of these authorities only; the first of them, or the node's own where it is among
    /// them, is the one in whose name something is done.
    pub(crate) fn reaching(&self, authorities: &[AuthorityId]) -> Self {
        let own = authorities.contains(&self.shared.authority);
        let first = match authorities.first() {
            Some(first) => first.clone(),
            // Nothing is reached, and nobody's records are.
            None => self.shared.authority.clone(),
        };
        let repository = self.repository.of(first).seeing(authorities);
        Self { clock: Arc::clone(&self.clock), shared: Arc::clone(&self.shared), repository, own }
    }

    /// The same, writing only while whoever asks may still do what they may.
    pub(crate) fn writing_for(mut self, user: &User) -> Self {
        self.repository = user.writing(&self.repository);
        self
    }

    /// Where it is decided who may do what.
    pub(crate) fn point(&self) -> &Arc<DecisionPoint> {
        &self.shared.point
    }

    /// The same in the name of an authority, for a program whose right to that its handler has looked at.
    pub(crate) fn in_name_of(&self, authority: &AuthorityId) -> Self {
        self.reaching(std::slice::from_ref(authority))
    }

    /// The same for what a sensor on another machine says.
    pub(crate) fn of_sensor(mut self, id: &str) -> Self {
        self.repository = self.repository.of_sensor(id);
        self
    }

    /// The sensors on other machines.
    pub(crate) fn sensors(&self) -> &Sensors {
        &self.shared.sensors
    }

    /// What issues certificates.
    pub(crate) fn ca(&self) -> &Ca {
        &self.shared.ca
    }

    /// The connections that were opened with a certificate.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.shared.ca.sessions.clone()
    }

    /// By what people prove who they are.
    pub(crate) fn proofs(&self) -> &Proofs {
        &self.shared.proofs
    }

    /// The authority of the node itself.
    #[must_use]
    pub fn authority(&self) -> &AuthorityId {
        &self.shared.authority
    }

    /// With an empty database and nothing set: for tests of a part.
    #[cfg(test)]
    pub(crate) async fn bare(dir: &std::path::Path) -> Self {
        let database = dir.join("bastide.sqlite");
        let repository = Repository::open(
            &database,
            model::AuthorityId::local(),
            store::LedgerKey::from_seed(&[7; 32]).unwrap(),
        )
        .await
        .unwrap();
        let node = Node {
            version: String::new(),
            url: String::new(),
            data_dir: dir.to_owned(),
            watched: Vec::new(),
            response_mode: String::new(),
            retention: store::Retention {
                incident_days: 1,
                asset_days: 1,
                journal_days: 1,
                counter_days: 1,
                most_bytes: 1 << 20,
            },
            channels: Vec::new(),
            least_told: model::Severity::Info,
            settings: Vec::new(),
            certificates: crate::ca::Settings::default(),
            agents: crate::agents::Settings::default(),
        };
        Self::new(repository, node, Doors::new(&[], &[], 8443), None).unwrap()
    }

    /// What is kept.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// This node, as it was started.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.shared.node
    }

    /// The moment that it is now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Seconds since the start.
    #[must_use]
    pub fn uptime_secs(&self) -> u64 {
        self.shared.started.elapsed().as_secs()
    }

    /// Whether a sensor takes orders about what is reached: the one of this node, or one on another machine.
    #[must_use]
    pub fn has_sensor(&self) -> bool {
        self.own && self.shared.orders.is_some() || self.sensors().any_of(self.repository.authority())
    }

    /// What the sensor last said of itself; nothing where it belongs to an authority that is not reached.
    #[must_use]
    pub fn sensor(&self) -> SensorStatus {
        if self.own { self.locked_sensor().clone() } else { SensorStatus::default() }
    }

    /// Takes an order to all sensors of the authority that is reached; does not wait for what comes of it.
    ///
    /// # Errors
    /// [`OrderError`] where there is none, or one of them takes no orders.
    pub fn order(&self, order: Order) -> Result<(), OrderError> {
        let own = self.order_own(order.clone());
        match (own, self.sensors().order_all(self.repository.authority(), &order)) {
            (Err(OrderError::NoSensor), Ok(0)) => Err(OrderError::NoSensor),
            (Ok(()) | Err(OrderError::NoSensor), others) => others.map(drop),
            (Err(error), _) => Err(error),
        }
    }

    /// Takes an order to one sensor: that on another machine, or, where its name is empty, the one of this node.
    pub(crate) fn order_one(&self, sensor: &str, order: Order) -> Result<(), OrderError> {
        if sensor.is_empty() {
            self.order_own(order)
        } else {
            self.sensors().order(self.repository.authority(), sensor, order)
        }
    }

    /// Whether that one takes orders.
    pub(crate) fn takes_orders(&self, sensor: &str) -> bool {
        match sensor {
            "" => self.shared.orders.is_some() && self.repository.authority() == self.authority(),
            other => self.sensors().is_in_reach(self.repository.authority(), other),
        }
    }

    fn order_own(&self, order: Order) -> Result<(), OrderError> {
        let orders = self.shared.orders.as_ref().filter(|_| self.repository.authority() == self.authority());
        orders.map_or(Err(OrderError::NoSensor), |orders| orders(order))
    }

    /// The changes from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }

    /// Tells everybody who looks.
    pub fn announce(&self, change: Change) {
        // Nobody looking is fine.
        let _ = self.shared.changes.send(change);
    }

    /// Resolves when the server is stopping; long answers end then.
    pub async fn stopping(&self) {
        let mut stopping = self.shared.stopping.subscribe();
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Held while the exceptions are read and told, so that the last ones told are the last ones kept.
    pub(crate) async fn telling_exceptions(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.telling_exceptions.lock().await
    }

    /// An asset was listed, enrolled, or declared to be something: the sensor is to know.
    pub(crate) fn known_changed(&self) {
        self.shared.known.notify_one();
    }

    pub(crate) async fn until_known_changed(&self) {
        self.shared.known.notified().await;
    }

    /// Held while what is suspended is read and told; what the sensors of each authority were told last.
    pub(crate) async fn telling_suspended(
        &self,
    ) -> tokio::sync::MutexGuard<'_, HashMap<AuthorityId, Vec<Suspension>>> {
        self.shared.suspended.lock().await
    }

    /// Says what the node has to do with witnesses; once, before it serves.
    pub fn set_witnessing(&self, witnessing: Witnessing) {
        // Said twice, the first holds.
        let _ = self.shared.witnessing.set(witnessing);
    }

    /// What the node has to do with witnesses; unset where nobody said so.
    #[must_use]
    pub fn witnessing(&self) -> Option<&Witnessing> {
        self.shared.witnessing.get()
    }

    pub(crate) fn doors(&self) -> &Doors {
        &self.shared.doors
    }

    /// Whether nobody by this name did that with this incident within the last hour. Of the last
    /// [`LOOKS`] only; what is forgotten counts as the first.
    pub(crate) fn is_first_look(&self, who: &str, deed: Deed, incident: &IncidentId) -> bool {
        let now = self.now();
        let mut looks = self.shared.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, at| now.seconds_since(*at) < 3_600.0);
        if looks.len() >= LOOKS {
            looks.clear();
        }
        looks.insert((who.to_owned(), deed, incident.clone()), now).is_none()
    }

    pub(crate) fn attempts(&self) -> &Attempts {
        &self.shared.attempts
    }

    pub(crate) fn set_sensor(&self, status: SensorStatus) {
        *self.locked_sensor() = status;
    }

    fn locked_sensor(&self) -> MutexGuard<'_, SensorStatus> {
        // A figure half written by a thread that died is replaced within a second.
        self.shared.sensor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is where time comes in: sessions and records need a clock"
)]
fn system_time() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
