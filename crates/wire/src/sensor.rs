//! What a sensor on another machine and its server say to each other.
//!
//! The exchange: `POST` [`NOTICES`](crate::NOTICES) carries [`Notices`] and is answered by [`Heard`]; `POST` [`ORDERS`](crate::ORDERS) carries [`Ask`] and is
//! answered by [`Orders`], at once where there are any, else when there are, or after [`limit::WAIT_SECS`] without any. Both in
//! TLS with the certificate of the sensor. What a notice and an order hold is the sensor's and the server's matter: here they
//! are JSON objects, bounded in number and size.

use crate::{
    limit::{self, Invalid},
    report::read,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a sensor tells, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notices {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Rises by one with each batch of a sensor, also over restarts; the same number is the same batch. 0: figures of the
    /// moment, which are worth no keeping.
    pub number: u64,
    /// How many batches were shed since the sensor was enrolled, for want of room while no server was in reach.
    pub shed: u64,
    /// The version of its program.
    pub program: String,
    /// What it tells, each an object.
    pub notices: Vec<Value>,
}

/// The answer to notices that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The number of the batch.
    pub number: u64,
}

/// A sensor asks for orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The number of the last order that it took: those up to it are not told again. 0: it has begun anew.
    pub after: u64,
}

/// Orders for a sensor, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Those that it has not taken yet.
    pub orders: Vec<Numbered>,
}

/// An order with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbered {
    /// Higher than that of every order before it.
    pub number: u64,
    /// The order, an object.
    pub order: Value,
}

impl Notices {
    /// From JSON, whole and within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let notices: Self = read("notices", json, limit::NOTICES_BYTES)?;
        notices.check()?;
        Ok(notices)
    }

    /// Whether every field is within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first that is not.
    pub fn check(&self) -> Result<(), Invalid> {
        limit::version("version", self.version)?;
        limit::text("program", &self.program, limit::TEXT)?;
        limit::count("notices", self.notices.len(), limit::NOTICES)?;
        objects("notices", self.notices.iter())
    }
}

impl Heard {
    /// From JSON, whole and within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let heard: Self = read("answer", json, limit::ANSWER_BYTES)?;
        limit::version("version", heard.version)?;
        Ok(heard)
    }
}

impl Ask {
    /// From JSON, whole and within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let ask: Self = read("question", json, limit::ANSWER_BYTES)?;
        limit::version("version", ask.version)?;
        Ok(ask)
    }
}

impl Orders {
    /// From JSON, whole and within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let orders: Self = read("orders", json, limit::ORDERS_BYTES)?;
        limit::version("version", orders.version)?;
        limit::count("orders", orders.orders.len(), limit::ORDERS)?;
        objects("orders", orders.orders.iter().map(|one| &one.order))?;
        let rising = orders.orders.is_sorted_by(|one, next| one.number < next.number);
        if !rising {
            return Err(Invalid::new("orders", "out of order", "each once, in ascending order"));
        }
        Ok(orders)
    }
}

fn objects<'a>(field: &'static str, mut all: impl Iterator<Item = &'a Value>) -> Result<(), Invalid> {
    match all.find(|one| !one.is_object()) {
        Some(other) => Err(Invalid::new(field, other, "objects")),
        None => Ok(()),
    }
}
