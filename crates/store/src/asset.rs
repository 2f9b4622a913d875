//! Assets seen, and how they are found again.

use crate::{
    Page, Paging, Repository, StoreError,
    database::{On, Query, Row, query},
    repository::{contains_pattern, count, from_json, seen, to_json, unreadable, whose},
    writer::Transaction,
};
use model::{Asset, AssetStatus, Declared, Timestamp};
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

/// By what assets are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetGroup {
    /// What they are.
    Kind,
    /// Who answers for them.
    Owner,
    /// The part of the city.
    District,
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
    /// Only of this layer, by its word.
    pub layer: Option<String>,
    /// Only of this owner.
    pub owner: Option<String>,
    /// Only in this district.
    pub district: Option<String>,
    /// Only with this text in name, addresses, vendor, kind, or in what was declared.
    pub text: Option<String>,
    /// The order.
    pub sort: AssetSort,
}

/// $1 authorities, $2 kind, $3 criticality, $4 status, $5 text, $6 layer, $7 owner, $8 district.
macro_rules! matching {
    () => {
        concat!(
            " FROM asset WHERE ",
            seen!(),
            " \
         AND ($2 IS NULL OR kind = $2) \
         AND ($3 IS NULL OR criticality = $3) \
         AND ($4 IS NULL OR status = $4) \
         AND ($5 IS NULL OR search LIKE $5 ESCAPE '\\') \
         AND ($6 IS NULL OR layer = $6) AND ($7 IS NULL OR owner = $7) AND ($8 IS NULL OR district = $8)"
        )
    };
}

impl Repository {
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
                    " ORDER BY last_seen DESC, id LIMIT $9 OFFSET $10"
                )
            }
            AssetSort::Name => {
                concat!(
                    "SELECT id, body, authority_id, status",
                    matching!(),
                    " ORDER BY label, id LIMIT $9 OFFSET $10"
                )
            }
            AssetSort::Kind => {
                concat!(
                    "SELECT id, body, authority_id, status",
                    matching!(),
                    " ORDER BY kind, label, id LIMIT $9 OFFSET $10"
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

    /// How many assets there are of each kind, owner or district, the most frequent first; at most 100.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn asset_groups(&self, by: AssetGroup) -> Result<Vec<(String, u64)>, StoreError> {
        macro_rules! select {
            ($column:literal) => {
                concat!(
                    "SELECT ",
                    $column,
                    ", COUNT(*) AS number FROM asset WHERE ",
                    seen!(),
                    " AND ",
                    $column,
                    " IS NOT NULL GROUP BY ",
                    $column,
                    " ORDER BY number DESC, ",
                    $column,
                    " LIMIT 100"
                )
            };
        }
        let sql = match by {
            AssetGroup::Kind => select!("kind"),
            AssetGroup::Owner => select!("owner"),
            AssetGroup::District => select!("district"),
        };
        let rows = query(sql).bind(self.sees()).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<i64>(1)?.unsigned_abs()))).collect()
    }

    fn bind_assets(&self, sql: &'static str, filter: &AssetFilter) -> Query {
        query(sql)
            .bind(self.sees())
            .bind(filter.kind.clone())
            .bind(filter.criticality.clone())
            .bind(filter.status.clone())
            .bind(filter.text.as_deref().map(contains_pattern))
            .bind(filter.layer.clone())
            .bind(filter.owner.clone())
            .bind(filter.district.clone())
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
    let declared = asset.declared.as_deref().cloned().unwrap_or_default();
    query(
        "INSERT INTO asset (authority_id, id, kind, criticality, status, label, first_seen, last_seen, search, body, layer, owner, \
         place, district) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (authority_id, id) DO UPDATE SET kind = $3, criticality = $4, label = $6, first_seen = $7, \
         status = CASE WHEN $5 = 'discovered' THEN asset.status ELSE $5 END, last_seen = $8, search = $9, body = $10, \
         layer = $11, owner = $12, place = $13, district = $14",
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
    .bind(asset.layer.as_str())
    .bind(declared.owner)
    .bind(declared.place)
    .bind(declared.district)
    .execute(&mut *transaction)
    .await?;
    write_addresses(transaction, whose, asset).await?;
    Ok(!known)
}

/// Forgets an asset that nothing speaks of any more.
pub(crate) async fn forget(transaction: &mut Transaction, whose: &str, id: &str) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM asset WHERE authority_id = $1 AND id = $2",
        "DELETE FROM asset_address WHERE authority_id = $1 AND asset = $2",
    ] {
        query(sql).bind(whose).bind(id).execute(&mut *transaction).await?;
    }
    Ok(())
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
    if let Some(declared) = &asset.declared {
        let Declared { owner, place, district, serial, note, maintenance: _ } = &**declared;
        for said in [owner, place, district, serial, note].into_iter().flatten() {
            text.push(' ');
            text.push_str(&said.to_lowercase());
        }
    }
    for address in &asset.addresses {
        text.push(' ');
        text.push_str(&address.to_string());
    }
    text.chars().take(4_096).collect()
}

/// From id, body, authority and status.
pub(crate) fn asset(row: &Row) -> Result<Asset, StoreError> {
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
