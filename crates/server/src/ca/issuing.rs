//! From a wish to a certificate that is kept.

use super::{Ca, CaError, new_certificate, program, serial};
use crate::{AppState, api::Problem};
use axum::http::StatusCode;
use ledger::{Deed, Subject};
use model::AuthorityId;
use pki::{Bounds, IssueError, Profile, PublicKey, SubjectName};
use std::sync::Arc;
use store::{Admission, Enrolled};

/// What is to be certified.
pub(crate) struct Wanted<'a> {
    /// Whose identity it becomes; unset for the node's own.
    pub(crate) asset: Option<&'a str>,
    /// What that is called.
    pub(crate) name: &'a str,
    pub(crate) key: &'a PublicKey,
    pub(crate) names: &'a [SubjectName],
    /// The profile with its name.
    pub(crate) profile: (&'a str, &'a Profile),
}

/// A certificate that is kept, and may leave.
pub(crate) struct Certified {
    pub(crate) der: Vec<u8>,
    pub(crate) issuer: Arc<super::Working>,
}

impl Ca {
    /// Issues what is wanted in the name of the authority that `state` acts for, on a ground that is used up with it.
    pub(crate) async fn issue(
        &self,
        state: &AppState,
        wanted: &Wanted<'_>,
        on: Admission,
    ) -> Result<Certified, Problem> {
        let authority = state.repository().authority();
        if wanted.asset.is_some() {
            self.allows(state, authority, wanted)?;
        }
        let issuer = self.of(state, authority).await?;
        let subject = pki::Subject {
            common_name: wanted.name.to_owned(),
            serial_number: wanted.asset.map(str::to_owned),
        };
        let (serial, now) = (serial()?, state.now());
        let issued = issuer.issuer.issue(&subject, wanted.key, wanted.names, wanted.profile, serial, now);
        let issued = issued.map_err(refused)?;
        let view = pki::View::of(&issued.der).map_err(CaError::from)?;
        let asset = wanted.asset.map(|id| (id, wanted.name));
        let new = new_certificate(&issued, &issuer.record.id, asset, wanted.profile.0, &view)?;
        let deed = match on {
            Admission::Token(_) | Admission::Approval(_) | Admission::Maker(_) => Deed::Enrolled,
            Admission::Renewal(_) | Admission::Program => Deed::Issued,
        };
        let about = [
            ("asset", wanted.asset.unwrap_or_default()),
            ("certificate", &new.serial),
            ("issuer", &new.issuer),
        ];
        let about = about.into_iter().filter(|(_, id)| !id.is_empty());
        let about = about.map(|(kind, id)| Subject::new(kind, id)).collect::<Result<_, _>>();
        let about =
            about.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
        let details = Some(view.subject.clone());
        let decided = program(state, deed, about, details)?;
        let der = match state.repository().add_certificate(new, on, decided).await? {
            Enrolled::Kept => {
                state.known_changed();
                issued.der
            }
            Enrolled::Again(der) => der,
            other => return Err(not_kept(&other)),
        };
        Ok(Certified { der, issuer })
    }
}

impl Ca {
    /// Whether an asset may be named so: within what is set for its authority, and not as the node itself is. A name with dots
    /// in it reads as a host's, whatever field it stands in.
    fn allows(&self, state: &AppState, authority: &AuthorityId, wanted: &Wanted<'_>) -> Result<(), Problem> {
        let set = self.bounds_of(state, authority);
        wanted.names.iter().try_for_each(|name| set.check(name)).map_err(refused)?;
        check_called(&set, wanted.name)
    }

    /// Whether an authority's device may be called so.
    pub(crate) fn may_be_called(&self, state: &AppState, name: &str) -> Result<(), Problem> {
        check_called(&self.bounds_of(state, state.repository().authority()), name)
    }
}

fn check_called(set: &Bounds, name: &str) -> Result<(), Problem> {
    let host = SubjectName::dns(name).ok().filter(|_| name.contains('.'));
    host.map_or(Ok(()), |host| set.check(&host)).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, error.to_string())
            .expected("a name without dots, or one in the domains that are set (certificates.domains)")
    })
}

/// Why something is not issued: whoever asks can mend most of it.
fn refused(error: IssueError) -> Problem {
    let status = match &error {
        IssueError::OutOfBounds { .. } | IssueError::NotInProfile { .. } | IssueError::Subject { .. } => {
            StatusCode::BAD_REQUEST
        }
        IssueError::Sign(_)
        | IssueError::Der(_)
        | IssueError::Issuer(_)
        | IssueError::IssuerNotGood { .. }
        | IssueError::Serial => return CaError::from(error).into(),
    };
    Problem::new(status, error.to_string())
}

fn not_kept(outcome: &Enrolled) -> Problem {
    match outcome {
        Enrolled::NotLetIn(status) => {
            Problem::new(StatusCode::FORBIDDEN, format!("this device is {}", status.as_str()))
                .expected("somebody who may to let it in again")
        }
        Enrolled::KeyTaken => Problem::new(
            StatusCode::CONFLICT,
            "this key is another device's already, or was certified and revoked before",
        )
        .expected("a key that was made for this device alone"),
        Enrolled::NameTaken(name) => {
            Problem::new(StatusCode::CONFLICT, format!("{name} is another device's name, or this node's own"))
                .expected("a name that nobody has, or that the device which has it is revoked")
        }
        Enrolled::NoGround | Enrolled::Kept | Enrolled::Again(_) => Problem::new(
            StatusCode::UNAUTHORIZED,
            "what would let this device in was used, is over or was taken back",
        )
        .expected("a new token"),
    }
}
