//! What a request may reach: the records of the authorities in which what its route needs is allowed.
//!
//! Guarantees: a handler that takes [`Reach`] cannot read or change a record of another authority, because the repository
//! that it is given neither shows nor finds it; what it writes is written only while the roles that it was allowed by are
//! held; nobody learns whether what they may not see exists.

use crate::{AppState, api::Problem, auth::User};
use axum::{
    extract::{FromRequestParts, Query},
    http::{StatusCode, request::Parts},
};
use model::AuthorityId;
use policy::Grant;
use serde::Deserialize;
use store::Findable;

/// The state of the server as far as this request reaches.
pub(crate) struct Reach(pub(crate) AppState);

/// What the doors have granted for this request.
#[derive(Clone)]
pub(crate) struct Granted(pub(crate) std::sync::Arc<[Grant]>);

/// The parameter that every route with records takes.
#[derive(Deserialize)]
pub(crate) struct Narrowed {
    pub(crate) authority: Option<String>,
}

impl FromRequestParts<AppState> for Reach {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        // Put there by the doors; a route that is mounted past them reaches nothing.
        let granted = parts
            .extensions
            .get::<Granted>()
            .cloned()
            .ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "this route grants nothing"))?;
        let mut reached: Vec<AuthorityId> = granted.0.iter().map(|grant| grant.authority().clone()).collect();
        let Query(asked) = Query::<Narrowed>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::parameter("authority", "one authority's id, once"))?;
        let asked = asked.authority;
        if let Some(asked) = asked {
            let unknown = || Problem::not_found("authority in which you may do this", &asked);
            let id: AuthorityId = asked.parse().map_err(|_| unknown())?;
            let tree = state.repository().tree().await?;
            reached.retain(|of| tree.lineage(of).upwards().any(|above| *above == id));
            if !reached.contains(&id) {
                return Err(unknown());
            }
            // The one that was asked for comes first.
            reached.sort_by_key(|of| *of != id);
        } else {
            reached.sort_by_key(|of| of != state.authority());
        }
        let user = User::from_request_parts(parts, state).await?;
        Ok(Self(state.reaching(&reached).writing_for(&user)))
    }
}

impl AppState {
    /// With the repository of the authority that has something with this id.
    ///
    /// # Errors
    /// [`Problem`] where none has it that this request reaches, or more than one.
    pub(crate) async fn at(&self, what: Findable, id: &str) -> Result<Self, Problem> {
        let name = match what {
            Findable::Incident => "incident",
            Findable::Plan => "plan",
            Findable::Command => "command",
            Findable::Asset => "asset",
            Findable::Address => "address",
            Findable::Exception => "exception that still holds",
            Findable::Certificate => "certificate",
            Findable::EnrolmentToken => "enrolment token",
            Findable::Enrolment => "enrolment",
            Findable::Maker => "maker",
        };
        let whose = self.repository().whose_is(what, id).await?;
        match whose.as_slice() {
            [] => Err(Problem::not_found(name, id)),
            [one] => Ok(self.reaching(std::slice::from_ref(one))),
            // Its own comes first to whoever did not say more.
            more if more.contains(self.repository().authority()) => {
                Ok(self.reaching(std::slice::from_ref(self.repository().authority())))
            }
            more => {
                let names: Vec<&str> = more.iter().map(AuthorityId::as_str).collect();
                Err(Problem::new(StatusCode::CONFLICT, format!("more than one authority has this {name}"))
                    .expected(format!("`?authority=` with one of {}", names.join(", "))))
            }
        }
    }
}
