//! People in texts that outlive them. The sensor's journal and the texts of plans cannot be changed later, so they name whoever
//! gave an order by their id; here ids are read as what people sign in as, while those are there.

use crate::AppState;
use model::{LoginName, PersonId};
use std::collections::{BTreeMap, BTreeSet};
use store::{ERASED, StoreError};

/// As long as every id of a person.
const LENGTH: usize = "per-0123456789abcdef0123456789abcdef".len();

/// Who is who in some texts.
pub(super) struct Named(BTreeMap<PersonId, LoginName>);

impl Named {
    /// All of these, of [`named_in`].
    pub(super) async fn of(state: &AppState, ids: BTreeSet<PersonId>) -> Result<Self, StoreError> {
        if ids.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        state.repository().logins(&ids).await.map(Self)
    }

    /// A text with logins in the place of ids.
    pub(super) fn text(&self, text: &str) -> String {
        let named = |piece: &str| match piece.parse::<PersonId>() {
            Ok(id) => self.0.get(&id).map_or_else(|| format!("{id} {ERASED}"), LoginName::to_string),
            Err(_) => piece.to_owned(),
        };
        pieces(text).map(named).collect()
    }
}

/// The ids of all who are named in these texts.
pub(super) fn named_in<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<PersonId> {
    texts.into_iter().flat_map(pieces).filter_map(|piece| piece.parse().ok()).collect()
}

/// A text in pieces, each an id or what stands between ids.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_id = |at: usize| {
            let piece = rest.get(at..at + LENGTH);
            piece.is_some_and(|piece| piece.parse::<PersonId>().is_ok())
        };
        let at = rest.match_indices("per-").map(|(at, _)| at).find(|at| is_id(*at)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at_checked(if at == 0 { LENGTH } else { at })?;
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_text_are_read_as_logins() {
        let id = |byte: u8| PersonId::from_random([byte; 16]);
        let named = Named([(id(1), "ada".parse().unwrap())].into());
        let (ada, gone) = (id(1), id(2));
        for (text, expected) in [
            (format!("{ada} approved it"), "ada approved it".to_owned()),
            (format!("token of {ada}, {gone}"), format!("token of ada, {gone} (erased)")),
            (format!("{ada}{ada}"), "adaada".into()),
            (format!("per-{ada}"), "per-ada".into()),
            (format!("{ada}").get(..20).unwrap().to_owned(), format!("{ada}").get(..20).unwrap().to_owned()),
            ("per-é".into(), "per-é".into()),
            (String::new(), String::new()),
        ] {
            assert_eq!(named.text(&text), expected, "{text}");
        }
    }
}
