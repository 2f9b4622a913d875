//! Assets seen, and how they are found again.

use crate::{
    Page, Paging, Repository, StoreError,
    database::{On, Query, Row, query},
    repository::{contains_pattern, count, from_json, seen, to_json, unreadable, whose},
    writer::Transaction,
};
use model::{Asset, AssetStatus, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The order of a list of assets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssetSort {
    /// Last seen first.
    #[default]
    Seen,
    /// By name or address.
    Name,
    /// By kind, then name.
    Kind,
}

impl AssetSort {
    /// The word used in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Name => "name",
            Self::Kind => "kind",
        }
    }
}

/// Which assets to list; what is unset matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetFilter {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of this criticality, by its word.
    pub criticality: Option<String>,
    /// Only in this status, by its word.
    pub status: Option<String>,
    /// Only with this text in name, addresses, vendor, kind.
    pub text: Option<String>,
    /// The order.
    pub sort: AssetSort,
}

/// $1 authorities, $2 kind, $3 criticality, $4 status, $5 text.
macro_rules! matching {
    () => {
        concat!(
            " FROM asset WHERE ",
            seen!(),
            " \
         AND ($2 IS NULL OR kind = $2) \
         AND ($3 IS NULL OR criticality = $3) \
         AND ($4 IS NULL OR status = $4) \
         AND ($5 IS NULL OR search LIKE $5 ESCAPE '\\')"
        )
    };
}

impl Repository {
    /// Keeps an asset: new, or what is now known of one. True where it was not known before.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn keep_asset(&self, asset: &Asset) -> Result<bool, StoreError> {
        let (whose, asset) = (self.whose(), asset.clone());
        self.write(move |transaction| Box::pin(async move { keep(transaction, &whose, &asset).await })).await
    }

    /// One asset by its id.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn asset(&self, id: &str) -> Result<Option<Asset>, StoreError> {
        one(self.readers(), &self.whose(), id).await
    }

    /// The asset last seen at an address.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn asset_at(&self, address: IpAddr) -> Result<Option<Asset>, StoreError> {
        let row = query(
            "SELECT asset.id, asset.body, asset.authority_id, asset.status FROM asset_address JOIN asset \
             ON asset.authority_id = asset_address.authority_id AND asset.id = asset_address.asset \
             WHERE asset_address.authority_id = $1 AND asset_address.address = $2 \
             ORDER BY asset_address.last_seen DESC LIMIT 1",
        )
        .bind(self.whose())
        .bind(address.to_string())
        .fetch_optional(self.readers())
        .await?;
        row.as_ref().map(asset).transpose()
    }

    /// The assets that match, one page of them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn assets(&self, filter: &AssetFilter, paging: Paging) -> Result<Page<Asset>, StoreError> {
        let sql = match filter.sort {
            AssetSort::Seen => {
                concat!(
                    "SELECT id, body, authority_id, status",
                    matching!(),
                    " ORDER BY last_seen DESC, id LIMIT $6 OFFSET $7"
                )
            }
            AssetSort::Name => {
                concat!(
                    "SELECT id, body, authority_id, status",
                    matching!(),
                    " ORDER BY label, id LIMIT $6 OFFSET $7"
                )
            }
            AssetSort::Kind => {
                concat!(
                    "SELECT id, body, authority_id, status",
                    matching!(),
                    " ORDER BY kind, label, id LIMIT $6 OFFSET $7"
                )
            }
        };
        let total = self
            .bind_assets(concat!("SELECT COUNT(*)", matching!()), filter)
            .fetch_one(self.readers())
            .await?;
        let rows = self
            .bind_assets(sql, filter)
            .bind(paging.limit())
            .bind(paging.offset())
            .fetch_all(self.readers())
            .await?;
        let items = rows.iter().map(asset).collect::<Result<_, _>>()?;
        Ok(paging.page(items, count(&total)?))
    }

    /// How many assets there are of each kind, the most frequent first; at most 100 kinds.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn asset_kinds(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = query(concat!(
            "SELECT kind, COUNT(*) AS number FROM asset WHERE ",
            seen!(),
            " \
             GROUP BY kind ORDER BY number DESC, kind LIMIT 100"
        ))
        .bind(self.sees())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<i64>(1)?.unsigned_abs()))).collect()
    }

    fn bind_assets(&self, sql: &'static str, filter: &AssetFilter) -> Query {
        query(sql)
            .bind(self.sees())
            .bind(filter.kind.clone())
            .bind(filter.criticality.clone())
            .bind(filter.status.clone())
            .bind(filter.text.as_deref().map(contains_pattern))
    }
}

/// One asset.
pub(crate) async fn one<'t>(
    on: impl Into<On<'t>>,
    whose: &str,
    id: &str,
) -> Result<Option<Asset>, StoreError> {
    let row = query("SELECT id, body, authority_id, status FROM asset WHERE authority_id = $1 AND id = $2")
        .bind(whose)
        .bind(id)
        .fetch_optional(on)
        .await?;
    row.as_ref().map(asset).transpose()
}

/// Keeps what is known of an asset. That it was seen once more changes nothing about how it stands.
pub(crate) async fn keep(
    transaction: &mut Transaction,
    whose: &str,
    asset: &Asset,
) -> Result<bool, StoreError> {
    let body = to_json("asset", &asset.id, asset)?;
    let known = one(&mut *transaction, whose, &asset.id).await?.is_some();
    query(
        "INSERT INTO asset (authority_id, id, kind, criticality, status, label, first_seen, last_seen, search, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (authority_id, id) DO UPDATE SET kind = $3, \
         criticality = $4, status = CASE WHEN $5 = 'discovered' THEN asset.status ELSE $5 END, label = $6, first_seen = $7, last_seen = $8, search = $9, body = $10",
    )
    .bind(whose)
    .bind(&asset.id)
    .bind(asset.kind.as_str())
    .bind(asset.criticality.as_str())
    .bind(asset.status.as_str())
    .bind(asset.label())
    .bind(asset.first_seen.micros())
    .bind(asset.last_seen.micros())
    .bind(searchable(asset))
    .bind(body)
    .execute(&mut *transaction)
    .await?;
    write_addresses(transaction, whose, asset).await?;
    Ok(!known)
}

async fn write_addresses(
    transaction: &mut Transaction,
    whose: &str,
    asset: &Asset,
) -> Result<(), StoreError> {
    query("DELETE FROM asset_address WHERE authority_id = $1 AND asset = $2")
        .bind(whose)
        .bind(&asset.id)
        .execute(&mut *transaction)
        .await?;
    for address in &asset.addresses {
        query(
            "INSERT INTO asset_address (authority_id, address, asset, last_seen) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (authority_id, address, asset) DO UPDATE SET last_seen = $4",
        )
        .bind(whose)
        .bind(address.to_string())
        .bind(&asset.id)
        .bind(Timestamp::micros(asset.last_seen))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

fn searchable(asset: &Asset) -> String {
    let mut text = format!(
        "{} {} {} {}",
        asset.id,
        asset.kind,
        asset.name.as_deref().unwrap_or_default(),
        asset.vendor.as_deref().unwrap_or_default()
    )
    .to_lowercase();
    for address in &asset.addresses {
        text.push(' ');
        text.push_str(&address.to_string());
    }
    text.chars().take(4_096).collect()
}

fn asset(row: &Row) -> Result<Asset, StoreError> {
    let id: String = row.try_get(0)?;
    let body: String = row.try_get(1)?;
    let mut asset: Asset = from_json("asset", &id, &body)?;
    asset.authority_id = whose("asset", &id, row, 2)?;
    let status: String = row.try_get(3)?;
    asset.status = AssetStatus::ALL
        .into_iter()
        .find(|known| known.as_str() == status)
        .ok_or_else(|| unreadable("asset", &id, format!("the status {status:?}")))?;
    Ok(asset)
}
