//! What can be decided: a closed list, so that a word in the ledger means one thing for ever.

use serde::{Deserialize, Serialize};

macro_rules! deeds {
    ($($(#[$doc:meta])* $deed:ident = $name:literal,)*) => {
        /// What was decided or done.
        ///
        /// New deeds are added at the end; none is renamed, and none is ever taken away. A program that is older than
        /// a leaf says that it does not know its deed, and still verifies that the leaf is whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Deed {
            $($(#[$doc])* #[serde(rename = $name)] $deed,)*
        }

        impl Deed {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$deed),*];

            /// The word in the leaf.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$deed => $name,)* }
            }
        }
    };
}

deeds! {
    /// Somebody signed in.
    SignedIn = "signed-in",
    /// Somebody signed out.
    SignedOut = "signed-out",
    /// A session was ended by somebody else, or by its age.
    SessionEnded = "session-ended",
    /// Somebody was given a role.
    RoleGiven = "role-given",
    /// A role was taken from somebody.
    RoleTaken = "role-taken",
    /// Somebody was invited.
    PersonInvited = "person-invited",
    /// A person's data was erased.
    PersonErased = "person-erased",
    /// A policy was changed.
    PolicyChanged = "policy-changed",
    /// An authority was made.
    AuthorityMade = "authority-made",
    /// A plan was approved.
    PlanApproved = "plan-approved",
    /// A plan was refused.
    PlanRefused = "plan-refused",
    /// A command was put in force.
    CommandRun = "command-run",
    /// A command was taken back.
    CommandUndone = "command-undone",
    /// An incident was closed.
    IncidentClosed = "incident-closed",
    /// An incident was opened again.
    IncidentReopened = "incident-reopened",
    /// An exception was made.
    ExceptionMade = "exception-made",
    /// An exception was revoked.
    ExceptionRevoked = "exception-revoked",
    /// All responding was stopped.
    RespondingStopped = "responding-stopped",
    /// Responding was taken up again.
    RespondingResumed = "responding-resumed",
    /// A token was made.
    TokenMade = "token-made",
    /// A token was revoked.
    TokenRevoked = "token-revoked",
    /// Settings were changed.
    SettingsChanged = "settings-changed",
    /// A report was sent.
    ReportSent = "report-sent",
    /// Evidence was opened.
    EvidenceOpened = "evidence-opened",
    /// An asset was enrolled.
    Enrolled = "enrolled",
    /// A credential was issued.
    Issued = "issued",
    /// A credential was revoked.
    Revoked = "revoked",
    /// A credential or an asset was suspended.
    Suspended = "suspended",
    /// All commands were taken back.
    AllCommandsUndone = "all-commands-undone",
    /// A person's name was changed, or they were allowed in again.
    PersonChanged = "person-changed",
    /// A person may not sign in any more.
    PersonSuspended = "person-suspended",
    /// Something that proves who a person is was added.
    CredentialAdded = "credential-added",
    /// Something that proved who a person is was taken away.
    CredentialRemoved = "credential-removed",
    /// An authority was renamed.
    AuthorityRenamed = "authority-renamed",
    /// A report was taken out.
    ReportTaken = "report-taken",
    /// An authority's identity provider was set up, or its settings changed.
    ProviderSet = "provider-set",
    /// An authority's identity provider was taken away.
    ProviderRemoved = "provider-removed",
    /// A link was made by which somebody signs in once.
    LinkMade = "link-made",
    /// A command ran out.
    CommandExpired = "command-expired",
    /// A command could not be put in force, or not be taken back.
    CommandFailed = "command-failed",
    /// What was decided before about the same could not be handed on: nothing came of it.
    NotCarriedOut = "not-carried-out",
    /// What was suspended is good again.
    Restored = "restored",
    /// A certificate authority was made, renewed, or its key moved.
    IssuerChanged = "issuer-changed",
    /// A one-time token was made that lets a device in.
    EnrolmentTokenMade = "enrolment-token-made",
    /// Such a token was taken away.
    EnrolmentTokenRevoked = "enrolment-token-revoked",
    /// A person let somebody in who waited.
    EnrolmentApproved = "enrolment-approved",
    /// A person did not.
    EnrolmentRefused = "enrolment-refused",
    /// A maker is trusted to say who its devices are.
    MakerTrusted = "maker-trusted",
    /// A maker is trusted no longer.
    MakerDistrusted = "maker-distrusted",
    /// Assets were listed.
    AssetsListed = "assets-listed",
    /// Something was declared of an asset.
    AssetDeclared = "asset-declared",
    /// An asset was taken off the list.
    AssetUnlisted = "asset-unlisted",
    /// Two assets were said to be one.
    AssetsJoined = "assets-joined",
    /// What was taken for one asset was said to be two.
    AssetParted = "asset-parted",
}

impl std::fmt::Display for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
