//! What can be asked for, as the schema names it.

use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// Something that people and programs ask to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// All.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word used in policies.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

actions! {
    /// Incidents with their evidence, plans, commands, receipts and exceptions.
    SeeIncidents = "see-incidents";
    /// The inventory.
    SeeAssets = "see-assets";
    /// Settings, state of sensors and inputs, figures.
    SeeNode = "see-node";
    /// The journal, who did what, the ledger.
    SeeRecord = "see-record";
    /// People, their roles, sessions and tokens; authorities.
    SeePeople = "see-people";
    /// Close and reopen incidents; make and revoke exceptions.
    JudgeIncidents = "judge-incidents";
    /// Approve, refuse and undo; stop and resume responding.
    Respond = "respond";
    /// Bring devices in.
    EnrolDevices = "enrol-devices";
    /// Invite and erase people, give and take roles, end sessions and tokens.
    ManagePeople = "manage-people";
    /// Make, rename and retire authorities below.
    ManageAuthorities = "manage-authorities";
    /// Make a token, which may no more than its maker.
    MakeTokens = "make-tokens";
    /// Change settings.
    ChangeSettings = "change-settings";
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
