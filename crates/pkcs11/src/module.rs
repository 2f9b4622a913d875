//! Modules and their tokens: found, logged in to, and found again when they were away.

use crate::place::Place;
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The longest PIN, in bytes.
const MOST_PIN: u64 = 255;
/// The most tokens that are named where the one that was asked for is not there.
const MOST_NAMED: usize = 8;

/// Why a token does not do what it is asked for. Never shows a PIN.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The module.
    #[error("the PKCS #11 module {path} cannot be used ({reason}): is it installed, and module-path right?", path = path.display())]
    Module {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The token.
    #[error("the token {token} is not there ({path} shows {found}): is it plugged in, and named right?", path = path.display())]
    NoToken {
        /// Which was asked for.
        token: String,
        /// Of which module.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// The object.
    #[error("the token {token} holds {found} private keys named {object:?}: expected one")]
    NoKey {
        /// Which token.
        token: String,
        /// Which object was asked for.
        object: String,
        /// How many of that name there are.
        found: usize,
    },
    /// There is no PIN to log in with.
    #[error("the token {token} wants a PIN: {reason}")]
    NoPin {
        /// Which token.
        token: String,
        /// What is wrong.
        reason: String,
    },
    /// The PIN is wrong.
    #[error(
        "the token {token} refused the PIN in {path} ({reason}): it is not tried again until another one stands there",
        path = path.display()
    )]
    PinRefused {
        /// Which token.
        token: String,
        /// Where the PIN is.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key that is of no use here.
    #[error("the key {object:?} on the token {token} cannot be used: {reason}")]
    Key {
        /// Which token.
        token: String,
        /// Which object.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// It cannot do that.
    #[error("the token {token} did not {what}: {reason}")]
    Refused {
        /// Which token.
        token: String,
        /// What was asked for.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl From<TokenError> for pki::SignError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused { .. } | TokenError::Key { .. } => Self::Refused(error.to_string()),
            _ => Self::Away(error.to_string()),
        }
    }
}

/// What went wrong within a session.
pub(crate) enum Fault {
    /// The module says so.
    Said(Error),
    /// We do.
    Told(TokenError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        Self::Told(error)
    }
}

/// Does something on a token, logged in. What a token that went away left behind is cleared up, and it is tried once more.
pub(crate) fn on<T>(
    place: &Place,
    what: &'static str,
    act: impl Fn(&Session) -> Result<T, Fault>,
) -> Result<T, TokenError> {
    let module = module(&place.module);
    let mut module = module.lock().unwrap_or_else(PoisonError::into_inner);
    let refused = |error: &Error| TokenError::Refused { token: place.token(), what, reason: said(error) };
    let mut again = true;
    loop {
        match module.session(place).map_err(Fault::Told).and_then(&act) {
            Ok(done) => return Ok(done),
            // A session may outlive its token, and finds nothing on it.
            Err(Fault::Told(TokenError::NoKey { found: 0, .. })) if again => {
                again = false;
                module.forget();
            }
            Err(Fault::Told(error)) => return Err(error),
            Err(Fault::Said(error)) if again && is_stale(&error) => {
                again = false;
                module.forget();
            }
            Err(Fault::Said(error)) => return Err(refused(&error)),
        }
    }
}

/// Makes a token of that label out of the first empty slot, with a PIN for whoever uses it and one for whoever administers it.
/// Nothing is done where there is one already.
pub(crate) fn make_token(place: &Place, label: &str, admin: &str) -> Result<(), TokenError> {
    let module = module(&place.module);
    let mut module = module.lock().unwrap_or_else(PoisonError::into_inner);
    let context = module.context()?;
    if slot(&context, place).is_ok() {
        return Ok(());
    }
    let refused =
        |error: Error| TokenError::Refused { token: place.token(), what: "become one", reason: said(&error) };
    let slots = context.get_all_slots().map_err(refused)?;
    let empty = slots
        .into_iter()
        .find(|slot| context.get_token_info(*slot).is_ok_and(|info| !info.token_initialized()));
    let empty = empty.ok_or_else(|| refused(Error::NotSupported))?;
    let admin = AuthPin::from(admin.to_owned());
    let pin = AuthPin::from(pin(place)?);
    let made = context.init_token(empty, &admin, label).and_then(|()| {
        let slot = slot(&context, place).map_err(|_| Error::InvalidValue)?;
        let session = context.open_rw_session(slot)?;
        session.login(UserType::So, Some(&admin))?;
        session.init_pin(&pin)?;
        session.logout()
    });
    made.map_err(refused)
}

/// A module, whose calls come one after the other.
struct Module {
    path: PathBuf,
    context: Option<Pkcs11>,
    open: BTreeMap<String, Session>,
    /// SHA-256 of the PIN that each token refused last.
    refused: BTreeMap<String, [u8; 32]>,
}

/// Those that were loaded: a process initialises each once.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Mutex<Module>>>> = Mutex::new(BTreeMap::new());

fn module(path: &Path) -> Arc<Mutex<Module>> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || {
        let (open, refused) = (BTreeMap::new(), BTreeMap::new());
        Arc::new(Mutex::new(Module { path: path.to_owned(), context: None, open, refused }))
    };
    Arc::clone(modules.entry(path.to_owned()).or_insert_with(new))
}

impl Module {
    fn context(&mut self) -> Result<Pkcs11, TokenError> {
        if let Some(context) = &self.context {
            return Ok(context.clone());
        }
        let unusable = |error: Error| TokenError::Module { path: self.path.clone(), reason: said(&error) };
        let context = Pkcs11::new(&self.path).map_err(unusable)?;
        start(&context).map_err(unusable)?;
        self.context = Some(context.clone());
        Ok(context)
    }

    /// Lets go of all sessions, and has the module look for its tokens anew.
    fn forget(&mut self) {
        self.open.clear();
        if let Some(context) = &self.context {
            // The library stays loaded: others of its parts may be in use.
            let _ = context.clone().finalize();
            if start(context).is_err() {
                self.context = None;
            }
        }
    }

    fn session(&mut self, place: &Place) -> Result<&Session, TokenError> {
        let token = place.token();
        if !self.open.contains_key(&token) {
            let session = match self.open(place) {
                // A module may know only the tokens that were there when it began.
                Err(TokenError::NoToken { .. }) => {
                    self.forget();
                    self.open(place)?
                }
                other => other?,
            };
            self.open.insert(token.clone(), session);
        }
        let missing = || TokenError::Module { path: self.path.clone(), reason: "no session".into() };
        self.open.get(&token).ok_or_else(missing)
    }

    fn open(&mut self, place: &Place) -> Result<Session, TokenError> {
        let context = self.context()?;
        let slot = slot(&context, place)?;
        let token = place.token();
        let refused = |error: Error| TokenError::Refused {
            token: token.clone(),
            what: "open a session",
            reason: said(&error),
        };
        let session = context.open_rw_session(slot).map_err(refused)?;
        if !context.get_token_info(slot).map_err(refused)?.login_required() {
            return Ok(session);
        }
        let pin = pin(place)?;
        let hash: [u8; 32] = Sha256::digest(&pin).into();
        let path = place.pin.clone().unwrap_or_default();
        if self.refused.get(&token) == Some(&hash) {
            return Err(TokenError::PinRefused { token, path, reason: "before".into() });
        }
        match session.login(UserType::User, Some(&AuthPin::from(pin))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.refused.remove(&token);
                Ok(session)
            }
            Err(Error::Pkcs11(
                error @ (RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked),
                _,
            )) => {
                self.refused.insert(token.clone(), hash);
                Err(TokenError::PinRefused { token, path, reason: error.to_string() })
            }
            Err(error) => Err(refused(error)),
        }
    }
}

fn start(context: &Pkcs11) -> Result<(), Error> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other,
    }
}

/// The one slot with that token in it.
fn slot(context: &Pkcs11, place: &Place) -> Result<Slot, TokenError> {
    let unusable = |error: Error| TokenError::Module { path: place.module.clone(), reason: said(&error) };
    let slots = context.get_slots_with_token().map_err(unusable)?;
    let mut there = Vec::new();
    let mut fitting = Vec::new();
    for slot in slots {
        // One that is pulled out at this moment is not there.
        let Ok(info) = context.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        there.push(format!("{:?}", info.label()));
        let is_it = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        if is_it(&place.token, info.label()) && is_it(&place.serial, info.serial_number()) {
            fitting.push(slot);
        }
    }
    if let [slot] = fitting.as_slice() {
        return Ok(*slot);
    }
    there.truncate(MOST_NAMED);
    let found = match (there.is_empty(), fitting.len()) {
        (true, _) => "none".into(),
        (false, 0) => there.join(", "),
        (false, several) => format!("{several} of that name: say serial=, too"),
    };
    Err(TokenError::NoToken { token: place.token(), path: place.module.clone(), found })
}

fn pin(place: &Place) -> Result<String, TokenError> {
    let wrong = |reason: String| TokenError::NoPin { token: place.token(), reason };
    let path =
        place.pin.as_deref().ok_or_else(|| wrong("expected pin-source=file:/path in its URI".into()))?;
    let unread = |error: io::Error| wrong(format!("{} cannot be read: {error}", path.display()));
    let about = fs::metadata(path).map_err(unread)?;
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        let shown = path.display();
        return Err(wrong(format!("{shown} can be read by everybody (mode {mode:04o}): chmod 600 {shown}")));
    }
    let unfit =
        || wrong(format!("{} holds none: expected one line of 1 to {MOST_PIN} letters", path.display()));
    if about.len() > MOST_PIN + 2 {
        return Err(unfit());
    }
    let text = String::from_utf8(fs::read(path).map_err(unread)?).map_err(|_| unfit())?;
    let line = text.trim_end_matches(['\r', '\n']);
    match line.is_empty() || line.chars().any(char::is_control) {
        true => Err(unfit()),
        false => Ok(line.to_owned()),
    }
}

/// Whether a session is no good any more, because its token or the module went away.
const fn is_stale(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::DeviceRemoved
                | RvError::DeviceError
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::CryptokiNotInitialized
                | RvError::OperationActive
                | RvError::GeneralError
                | RvError::FunctionFailed,
            _
        )
    )
}

/// An error of a module on one line. It knows of no PIN.
fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(error, function) => format!("{function:?}: {error}"),
        other => other.to_string(),
    }
}
