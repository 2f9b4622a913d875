//! Sensors on other machines: which there are, what of theirs was taken, and whose plan is whose.

use crate::{
    Repository, StoreError,
    counter::add,
    database::{Row, query},
    repository::{seen, whose},
};
use model::{AuthorityId, CommandId, PlanId, Timestamp};
use serde::Serialize;

/// A sensor on another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SensorRecord {
    /// Whose.
    pub authority: AuthorityId,
    /// The asset that it is.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The version of its program.
    pub program: String,
    /// The number of the last batch of it that was taken.
    pub number: u64,
    /// How many batches it had to shed.
    pub shed: u64,
    /// When it spoke last.
    pub heard: Timestamp,
}

impl Repository {
    /// The sensors on other machines, by name; at most 1 000.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn sensors(&self) -> Result<Vec<SensorRecord>, StoreError> {
        let rows = query(concat!(
            "SELECT authority_id, id, name, program, number, shed, heard FROM sensor WHERE ",
            seen!(),
            " ORDER BY name, id LIMIT 1000"
        ))
        .bind(self.sees())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(record).collect()
    }

    /// One of this authority.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn sensor_on(&self, id: &str) -> Result<Option<SensorRecord>, StoreError> {
        let row = query(
            "SELECT authority_id, id, name, program, number, shed, heard FROM sensor WHERE authority_id = $1 AND id = $2",
        )
        .bind(self.whose())
        .bind(id)
        .fetch_optional(self.readers())
        .await?;
        row.as_ref().map(record).transpose()
    }

    /// A batch of a sensor was taken: that, with the amounts that it counted, in one transaction, so that the same batch again
    /// counts nothing.
    ///
    /// # Errors
    /// [`StoreError`]; then neither is kept.
    pub async fn sensor_heard(
        &self,
        sensor: SensorRecord,
        counted: Vec<(&'static str, u64)>,
    ) -> Result<(), StoreError> {
        let whose = self.whose();
        self.write(move |transaction| {
            Box::pin(async move {
                query(
                    "INSERT INTO sensor (authority_id, id, name, program, number, shed, heard) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (authority_id, id) DO UPDATE SET name = $3, \
                     program = $4, number = CASE WHEN $5 > sensor.number THEN $5 ELSE sensor.number END, shed = $6, \
                     heard = $7",
                )
                .bind(&whose)
                .bind(&sensor.id)
                .bind(&sensor.name)
                .bind(&sensor.program)
                .bind(i64::try_from(sensor.number).unwrap_or(i64::MAX))
                .bind(i64::try_from(sensor.shed).unwrap_or(i64::MAX))
                .bind(sensor.heard.micros())
                .execute(&mut *transaction)
                .await?;
                add(transaction, &whose, sensor.heard, &counted).await
            })
        })
        .await
    }

    /// Whose plan it is; empty for the sensor of the node itself, unset where there is no such plan.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn sensor_of_plan(&self, id: &PlanId) -> Result<Option<String>, StoreError> {
        let row = query("SELECT sensor FROM plan WHERE authority_id = $1 AND id = $2")
            .bind(self.whose())
            .bind(id.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// The same of a command.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn sensor_of_command(&self, id: &CommandId) -> Result<Option<String>, StoreError> {
        let row = query(
            "SELECT plan.sensor FROM command JOIN plan ON plan.authority_id = command.authority_id \
             AND plan.id = command.plan WHERE command.authority_id = $1 AND command.id = $2",
        )
        .bind(self.whose())
        .bind(id.as_str())
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| row.try_get(0)).transpose()
    }
}

fn record(row: &Row) -> Result<SensorRecord, StoreError> {
    let id: String = row.try_get(1)?;
    let number = |column| row.try_get::<i64>(column).map(i64::unsigned_abs);
    Ok(SensorRecord {
        authority: whose("sensor", &id, row, 0)?,
        name: row.try_get(2)?,
        program: row.try_get(3)?,
        number: number(4)?,
        shed: number(5)?,
        heard: Timestamp::from_micros(row.try_get(6)?),
        id,
    })
}
