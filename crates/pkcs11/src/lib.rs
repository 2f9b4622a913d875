//! Private keys in PKCS #11 tokens: smart cards, hardware security modules, and TPMs by way of tpm2-pkcs11.
//!
//! Guarantees: a key is made on its token and cannot be taken out of it; a PIN is read from a file each time that it is
//! needed, is never shown, and one that a token refused is not tried again until the file says something else, so that
//! nothing here locks a token. One call at a time goes to a module, because not all of them stand two; a token that was
//! away is found again by itself. The module (a shared library) is loaded when it is first needed, and what it does is
//! its own: whoever names it in the settings trusts it as the program itself.

mod key;
mod module;
mod place;

pub use key::TokenKey;
pub use module::TokenError;
pub use place::{Place, PlaceError};
