//! Which assets have no identity now, since when and by whose word.

use crate::{
    Actor, ERASED, Repository, StoreError,
    asset::asset,
    database::{Row, query},
};
use model::{Suspension, Timestamp};

impl Repository {
    /// The assets of this authority that are suspended or revoked, the latest first, at most [`Suspension::MOST`].
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn suspended(&self) -> Result<Vec<Suspension>, StoreError> {
        let rows = query(
            "SELECT asset.id, asset.body, asset.authority_id, asset.status, leaf.at, opening.value FROM asset \
             JOIN leaf ON leaf.authority_id = asset.authority_id AND leaf.number = (SELECT MAX(about.number) \
             FROM leaf_about AS about JOIN leaf AS said ON said.authority_id = about.authority_id \
             AND said.number = about.number WHERE about.authority_id = asset.authority_id \
             AND about.subject = 'asset:' || asset.id AND said.deed IN ('suspended', 'revoked')) \
             LEFT JOIN opening ON opening.authority_id = leaf.authority_id AND opening.number = leaf.number \
             AND opening.part = 'who' WHERE asset.authority_id = $1 AND asset.status IN ('quarantined', 'revoked') \
             ORDER BY leaf.at DESC, asset.id LIMIT $2",
        )
        .bind(self.whose())
        .bind(i64::try_from(Suspension::MOST).unwrap_or(i64::MAX))
        .fetch_all(self.readers())
        .await?;
        let suspension = |row: &Row| {
            let who: Option<String> = row.try_get(5)?;
            Ok(Suspension {
                asset: asset(row)?,
                at: Timestamp::from_micros(row.try_get(4)?),
                who: who.map_or_else(|| ERASED.to_owned(), |who| Actor::lasting(&who).to_owned()),
            })
        };
        rows.iter().map(suspension).collect()
    }
}
