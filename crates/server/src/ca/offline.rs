//! What is done with a root's key where no node is: the file that holds it, certificates for issuers, and lists.
//!
//! Guarantees: nothing here reads or writes a file or speaks to anybody; the key is under a passphrase wherever it is written.

use crate::secret;
use model::Timestamp;
use pki::{
    Addresses, Bounds, Issuer, Reason, RevocationList, Revoked, SecretDocument, Serial, SoftwareKey, View,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject as _};
use std::sync::Arc;

/// The shortest passphrase for a root that is taken out, in letters.
const LEAST: usize = 16;
/// The longest.
const MOST: usize = 1_024;
/// How long an issuer is good that is certified offline, in days: as long as one that the node makes.
const DAYS: i64 = super::ISSUER_DAYS;
const ADDRESS: &str = "crl: ";
const ISSUER: &str = "issuer: ";

/// A root as it is kept offline: its certificate, its key under a passphrase, and where its list is found.
#[derive(Debug)]
pub struct RootFile {
    pub(super) certificate: Vec<u8>,
    key: String,
    crl: Vec<String>,
    issuer: Vec<String>,
}

impl RootFile {
    pub(super) fn new(certificate: &[u8], key: String, addresses: &Addresses) -> Self {
        let (crl, issuer) = (addresses.crl.clone(), addresses.issuer.clone());
        Self { certificate: certificate.to_vec(), key, crl, issuer }
    }

    /// As the file's text. Others read it as PEM, and skip what stands before.
    pub(super) fn text(&self) -> String {
        let view = View::of(&self.certificate).ok();
        let mut text = String::from("A root of Bastide, to be kept offline.\n");
        if let Some(view) = view {
            text.push_str(&format!("{}, good until {}\n", view.subject, view.ends));
        }
        let crl = self.crl.iter().map(|address| format!("{ADDRESS}{address}\n"));
        text.extend(crl.chain(self.issuer.iter().map(|address| format!("{ISSUER}{address}\n"))));
        text + &crate::tls::pem("CERTIFICATE", &self.certificate) + &self.key
    }

    /// Of a file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| format!("expected a certificate in PEM: {error}"))?;
        let key = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----").and_then(|at| text.get(at..));
        let key = key.ok_or("expected an encrypted private key in PEM (BEGIN ENCRYPTED PRIVATE KEY)")?;
        let all = |begins: &str| {
            text.lines().filter_map(|line| line.strip_prefix(begins)).take(8).map(str::to_owned).collect()
        };
        Ok(Self {
            certificate: certificate.to_vec(),
            key: key.trim_end().to_owned() + "\n",
            crl: all(ADDRESS),
            issuer: all(ISSUER),
        })
    }

    /// Its key (PKCS #8), which has to be that of its certificate.
    ///
    /// # Errors
    /// What is wrong.
    pub fn open(&self, passphrase: &str) -> Result<SecretDocument, String> {
        use pki::Signer as _;
        let pkcs8 = pki::unseal(&self.key, passphrase.trim_end_matches(['\r', '\n']));
        let pkcs8 = pkcs8.map_err(|error| error.to_string())?;
        let key = SoftwareKey::read(pkcs8.as_bytes()).map_err(|error| error.to_string())?;
        let view = View::of(&self.certificate).map_err(|error| error.to_string())?;
        match view.key.as_ref() == Ok(key.public_key()) {
            true => Ok(pkcs8),
            false => Err("the key in the file is not that of the certificate in it".into()),
        }
    }

    fn at_work(&self, passphrase: &str) -> Result<Issuer, String> {
        let key = SoftwareKey::read(self.open(passphrase)?.as_bytes()).map_err(|error| error.to_string())?;
        let addresses =
            Addresses { crl: self.crl.clone(), issuer: self.issuer.clone(), ..Addresses::default() };
        Issuer::new(&self.certificate, Arc::new(key), Bounds::default(), addresses)
            .map_err(|error| error.to_string())
    }

    /// The certificate for the request (PEM) of a node's issuer, with the root's: what the node takes in.
    ///
    /// # Errors
    /// What is wrong.
    pub fn certify(&self, passphrase: &str, request: &str, now: Timestamp) -> Result<String, String> {
        let request = CertificateSigningRequestDer::from_pem_slice(request.as_bytes())
            .map_err(|error| format!("expected a certificate request in PEM: {error}"))?;
        let random = secret::random().map_err(|error| error.to_string())?;
        let issued = self.at_work(passphrase)?.certify(&request, Serial::from_random(random), now, DAYS);
        let issued = issued.map_err(|error| error.to_string())?;
        Ok(crate::tls::pem("CERTIFICATE", &issued.der) + &crate::tls::pem("CERTIFICATE", &self.certificate))
    }

    /// A revocation list in PEM that holds until the root ends, with these serial numbers (hexadecimal).
    ///
    /// # Errors
    /// What is wrong.
    pub fn list(
        &self,
        passphrase: &str,
        number: u64,
        revoked: &[String],
        now: Timestamp,
    ) -> Result<String, String> {
        let issuer = self.at_work(passphrase)?;
        let revoked = revoked.iter().map(|serial| {
            let bytes = secret::unhex(&serial.replace(':', "").to_ascii_lowercase());
            let serial = bytes.and_then(|bytes| Serial::from_bytes(&bytes).ok());
            let serial = serial.ok_or("expected serial numbers in hexadecimal")?;
            Ok(Revoked { serial, at: now, reason: Reason::Unspecified })
        });
        let revoked = revoked.collect::<Result<Vec<_>, String>>()?;
        let list = RevocationList { number, base: None, made: now, next: issuer.good_until() };
        let der = issuer.revocation_list(list, revoked).map_err(|error| error.to_string())?;
        Ok(crate::tls::pem("X509 CRL", &der))
    }
}

/// Whether a passphrase is one to put a root's key under.
pub(super) fn is_fit(passphrase: &str) -> Result<(), String> {
    let length = passphrase.chars().count();
    if !(LEAST..=MOST).contains(&length) || passphrase.chars().any(char::is_control) {
        return Err(format!("one line of {LEAST} to {MOST} letters"));
    }
    Ok(())
}
