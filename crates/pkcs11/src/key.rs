//! A private key on a token.

use crate::{
    module::{Fault, TokenError, make_token, on},
    place::Place,
};
use cryptoki::{
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use pki::{Algorithm, PublicKey, SignError, Signer};
use sha2::{Digest as _, Sha256, Sha384};
use std::{fmt, path::Path};

/// Curves as a token names them: the OIDs of P-256 and P-384 in DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// That of Ed25519 by its name (`PrintableString`), as PKCS #11 3.0 has it and SoftHSM wants it.
const ED25519: &[u8] = b"\x13\x0cedwards25519";
/// The algorithm by its OID, as others write it.
const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// A private key that stays where it is.
pub struct TokenKey {
    place: Place,
    algorithm: Algorithm,
    public: PublicKey,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKey").field(&self.place).finish()
    }
}

impl TokenKey {
    /// Makes one of that name on the token: nobody takes it out again.
    ///
    /// # Errors
    /// [`TokenError`], also where there is one of that name.
    pub fn make(place: Place, algorithm: Algorithm) -> Result<Self, TokenError> {
        let object = named(&place)?;
        on(&place, "make a key", |session| {
            let found = find(session, ObjectClass::PRIVATE_KEY, object)?.len();
            if found > 0 {
                let (token, object) = (place.token(), object.to_owned());
                let reason = "there is one of that name already".into();
                return Err(TokenError::Key { token, object, reason }.into());
            }
            generate(session, algorithm, object)
        })?;
        Self::open(place)
    }

    /// The one that is at this place.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(place: Place) -> Result<Self, TokenError> {
        let object = named(&place)?;
        let (algorithm, point) = on(&place, "show its keys", |session| {
            let private = the_key(session, &place, object)?;
            // The public half by its own, where the token has one: not each shows a point of the private one.
            let public = find(session, ObjectClass::PUBLIC_KEY, object)?;
            let shown = public.into_iter().chain([private]).find_map(|half| read(session, half).transpose());
            shown.transpose()?.ok_or_else(|| unusable(&place, "expected P-256, P-384 or Ed25519").into())
        })?;
        let public =
            PublicKey::of_point(algorithm, &point).map_err(|error| unusable(&place, &error.to_string()))?;
        Ok(Self { place, algorithm, public })
    }

    /// The one that is at this place, as it was known before: the token is not asked until it has to sign.
    #[must_use]
    pub const fn known(place: Place, algorithm: Algorithm, public: PublicKey) -> Self {
        Self { place, algorithm, public }
    }

    /// Takes the key of that name off its token, for ever. None there is as good.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn destroy(place: &Place) -> Result<(), TokenError> {
        let object = named(place)?;
        on(place, "destroy a key", |session| {
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                for handle in find(session, class, object)? {
                    session.destroy_object(handle)?;
                }
            }
            Ok(())
        })
    }

    /// Where it is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }
}

impl Place {
    /// Makes the token that is named here by its label, in a slot of the module that has none, with the PIN in the file that
    /// is named here; `admin` administers it.
    ///
    /// # Errors
    /// [`TokenError`] where the module has no place for another one.
    pub fn make_token(module: &Path, label: &str, pin: &Path, admin: &str) -> Result<Self, TokenError> {
        let place = Self::of_token(module, label).with_pin(pin);
        make_token(&place, label, admin)?;
        Ok(place)
    }
}

impl Signer for TokenKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let object = named(&self.place)?;
        let plain = on(&self.place, "sign", |session| {
            let key = the_key(session, &self.place, object)?;
            Ok(match self.algorithm {
                Algorithm::P256 => session.sign(&Mechanism::Ecdsa, key, &Sha256::digest(message)),
                Algorithm::P384 => session.sign(&Mechanism::Ecdsa, key, &Sha384::digest(message)),
                Algorithm::Ed25519 => {
                    let pure = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                    session.sign(&Mechanism::Eddsa(pure), key, message)
                }
            }?)
        })?;
        let found = plain.len();
        let unfit = || unusable(&self.place, &format!("it signed with {found} bytes")).into();
        self.algorithm.signature_from_plain(plain).ok_or_else(unfit)
    }
}

fn named(place: &Place) -> Result<&str, TokenError> {
    place.object().ok_or_else(|| unusable(place, "its URI names no object (object=LABEL)"))
}

fn unusable(place: &Place, reason: &str) -> TokenError {
    let object = place.object().unwrap_or_default().to_owned();
    TokenError::Key { token: place.token(), object, reason: reason.to_owned() }
}

fn find(session: &Session, class: ObjectClass, object: &str) -> Result<Vec<ObjectHandle>, Fault> {
    let label = object.as_bytes().to_vec();
    Ok(session.find_objects(&[Attribute::Class(class), Attribute::Token(true), Attribute::Label(label)])?)
}

fn the_key(session: &Session, place: &Place, object: &str) -> Result<ObjectHandle, Fault> {
    let found = find(session, ObjectClass::PRIVATE_KEY, object)?;
    match found.as_slice() {
        [key] => Ok(*key),
        several => {
            let (token, object, found) = (place.token(), object.to_owned(), several.len());
            Err(TokenError::NoKey { token, object, found }.into())
        }
    }
}

fn generate(session: &Session, algorithm: Algorithm, object: &str) -> Result<(), Fault> {
    let (mechanism, curves): (_, &[&[u8]]) = match algorithm {
        Algorithm::P256 => (Mechanism::EccKeyPairGen, &[P256]),
        Algorithm::P384 => (Mechanism::EccKeyPairGen, &[P384]),
        Algorithm::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, &[ED25519, ED25519_OID]),
    };
    let (label, id) = (object.as_bytes().to_vec(), Sha256::digest(object).to_vec());
    let mut last = None;
    for curve in curves {
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
            Attribute::Label(label.clone()),
            Attribute::Id(id.clone()),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Label(label.clone()),
            Attribute::Id(id.clone()),
        ];
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), |error| Err(error.into()))
}

/// Of what kind a key is, and its public point; nothing where this half does not say, or of another kind.
fn read(session: &Session, half: ObjectHandle) -> Result<Option<(Algorithm, Vec<u8>)>, Fault> {
    let wanted = [AttributeType::KeyType, AttributeType::EcParams, AttributeType::EcPoint];
    let (mut kind, mut curve, mut point) = (None, Vec::new(), Vec::new());
    for attribute in session.get_attributes(half, &wanted)? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::EcParams(found) => curve = found,
            Attribute::EcPoint(found) => point = found,
            _ => {}
        }
    }
    let algorithm = match (kind, curve.as_slice()) {
        (Some(KeyType::EC), P256) => Algorithm::P256,
        (Some(KeyType::EC), P384) => Algorithm::P384,
        (Some(KeyType::EC_EDWARDS), ED25519 | ED25519_OID) => Algorithm::Ed25519,
        _ => return Ok(None),
    };
    // As an OCTET STRING in DER; some give the point itself.
    let inner = match point.as_slice() {
        [0x04, length, inner @ ..] if usize::from(*length) == inner.len() && *length < 0x80 => inner.to_vec(),
        _ => point,
    };
    Ok(Some(inner).filter(|point| !point.is_empty()).map(|point| (algorithm, point)))
}
