//! The server's certificate, from an authority of its own made at the first start.
//!
//! Guarantees: keys are made here, never leave `tls/`, and are readable by their owner only; a key that others can read
//! stops the start; the server's certificate is made anew before it ends and when the names change, so that whoever
//! trusts `ca.pem` once goes on trusting.

use crate::keyfile::write_whole;
use model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use time::OffsetDateTime;
use tokio::sync::watch;

/// How long the authority's certificate is good, in days.
const CA_DAYS: i64 = 3650;
/// How long the server's certificate is good, in days: what browsers accept at most is 398.
const SERVER_DAYS: i64 = 180;
/// It is made anew when it is good for less than this, in days.
const RENEW_DAYS: i64 = 60;
/// How often it is looked at while the server runs.
const LOOK: Duration = Duration::from_secs(12 * 3600);

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("cannot {what} {path}", path = path.display())]
    File {
        /// Read or write.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key that others can read is no secret any more.
    #[error(
        "{path} can be read by others (mode {mode:04o}): expected 0600; if nobody has read it, `chmod 600 {path}`, \
         else remove {dir} to make new keys",
        path = path.display(), dir = path.parent().unwrap_or(path).display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file holds something else.
    #[error("{path} cannot be used: {reason}; remove {dir} to make new keys", path = path.display(), dir = path.parent().unwrap_or(path).display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No certificate can be made for these names.
    #[error("cannot make a certificate for {names}")]
    Names {
        /// The names.
        names: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// Nothing that rustls serves with.
    #[error("cannot serve with the certificate in {dir}", dir = dir.display())]
    Rustls {
        /// Where it is.
        dir: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What the server shows and where the authority's certificate is.
#[derive(Clone)]
pub struct Tls {
    /// For the listener.
    pub config: Arc<ServerConfig>,
    /// The certificate to trust, for browsers and `curl --cacert`.
    pub ca_path: PathBuf,
    /// SHA-256 of the authority's certificate, to compare by eye.
    pub ca_fingerprint: String,
}

/// Opens `dir`, or makes an authority in it, and makes sure that there is a good certificate for the names.
///
/// # Errors
/// [`TlsError`], with the file and what to do.
pub fn open(dir: &Path, names: &[String], addresses: &[IpAddr], now: Timestamp) -> Result<Tls, TlsError> {
    let path = |name: &str| dir.join(name);
    let now = OffsetDateTime::from_unix_timestamp(now.micros().div_euclid(1_000_000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    if !dir.exists() {
        fs::DirBuilder::new().mode(0o700).create(dir).map_err(file("make", dir))?;
    }
    if !path("ca.pem").exists() || !path("ca.key").exists() {
        make_authority(dir, now)?;
    }
    let subject = Subject::new(names, addresses);
    // What the certificate was made for, and until when: `server.txt`, so that no certificate has to be read back.
    let wanted = subject.note();
    let current = fs::read_to_string(path("server.txt")).unwrap_or_default();
    let good_until = current.lines().next().and_then(|line| line.parse::<i64>().ok()).unwrap_or(0);
    let fits = current.split_once('\n').is_some_and(|(_, note)| note == wanted);
    let good = good_until > (now + time::Duration::days(RENEW_DAYS)).unix_timestamp();
    if !fits || !good || !path("server.pem").exists() || !path("server.key").exists() {
        make_server(dir, &subject, now)?;
    }
    load(dir)
}

/// Makes the certificate anew before it ends, for as long as the server runs.
pub async fn look_after(
    certificate: watch::Sender<Arc<ServerConfig>>,
    dir: PathBuf,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    now: fn() -> Timestamp,
) {
    loop {
        tokio::time::sleep(LOOK).await;
        match open(&dir, &names, &addresses, now()) {
            Ok(tls) => {
                certificate.send_replace(tls.config);
            }
            Err(error) => tracing::error!(%error, "the certificate could not be looked after"),
        }
    }
}

/// Names and addresses of the server's certificate.
struct Subject {
    names: Vec<String>,
}

impl Subject {
    /// How many names of the machine itself come first.
    const OWN: usize = 3;

    fn new(names: &[String], addresses: &[IpAddr]) -> Self {
        let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        for name in names.iter().cloned().chain(addresses.iter().map(ToString::to_string)) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        Self { names: all }
    }

    /// The first name that was given, else this machine's own.
    fn common_name(&self) -> &str {
        self.names.get(Self::OWN).or_else(|| self.names.first()).map_or("localhost", String::as_str)
    }

    fn note(&self) -> String {
        self.names.iter().fold(String::new(), |note, name| note + name + "\n")
    }
}

fn make_authority(dir: &Path, now: OffsetDateTime) -> Result<(), TlsError> {
    let key = new_key(dir)?;
    let certificate = authority(&key, now)
        .self_signed(&key)
        .map_err(|source| TlsError::Names { names: "the authority".into(), source })?;
    write_private(&dir.join("ca.key"), &key.serialize_pem())?;
    write(&dir.join("ca.pem"), &certificate.pem())?;
    // Whatever an authority before it signed is of no use now.
    let _ = fs::remove_file(dir.join("server.txt"));
    Ok(())
}

/// What the authority's certificate says. Its name comes from its key, so that it need not be read back to sign with.
fn authority(key: &KeyPair, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(CA_DAYS);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.public_key_raw());
    let mark: String = crate::secret::hex(digest.as_ref()).chars().take(8).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Bastide");
    // Two nodes must not look like one in a browser's list of authorities.
    name.push(DnType::CommonName, format!("Bastide local authority {mark}"));
    params.distinguished_name = name;
    params
}

fn make_server(dir: &Path, subject: &Subject, now: OffsetDateTime) -> Result<(), TlsError> {
    let names = |source| TlsError::Names { names: subject.names.join(", "), source };
    let key_path = dir.join("ca.key");
    let ca_key = KeyPair::from_pem(&read_private(&key_path)?)
        .map_err(|error| TlsError::Unusable { path: key_path.clone(), reason: error.to_string() })?;
    let issuer = Issuer::new(authority(&ca_key, now), ca_key);
    let key = new_key(dir)?;
    let mut params = CertificateParams::new(subject.names.clone()).map_err(names)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(SERVER_DAYS);
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Bastide");
    name.push(DnType::CommonName, subject.common_name());
    params.distinguished_name = name;
    let until = params.not_after.unix_timestamp();
    let certificate = params.signed_by(&key, &issuer).map_err(names)?;
    write_private(&dir.join("server.key"), &key.serialize_pem())?;
    write(&dir.join("server.pem"), &certificate.pem())?;
    // Last: where the start is cut off before this, all is made again.
    write(&dir.join("server.txt"), &format!("{until}\n{}", subject.note()))
}

fn load(dir: &Path) -> Result<Tls, TlsError> {
    let unusable = |path: &Path, error: rustls::pki_types::pem::Error| TlsError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let (ca_path, chain_path, key_path) =
        (dir.join("ca.pem"), dir.join("server.pem"), dir.join("server.key"));
    let ca = CertificateDer::from_pem_file(&ca_path).map_err(|error| unusable(&ca_path, error))?;
    let server = CertificateDer::from_pem_file(&chain_path).map_err(|error| unusable(&chain_path, error))?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(read_private(&key_path)?.as_bytes())
        .map_err(|error| unusable(&key_path, error))?;
    let rustls = |source| TlsError::Rustls { dir: dir.to_owned(), source };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(rustls)?
        .with_no_client_auth()
        .with_single_cert(vec![server], PrivateKeyDer::Pkcs8(key))
        .map_err(rustls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &ca);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(Tls { config: Arc::new(config), ca_path, ca_fingerprint: pairs.join(":") })
}

fn new_key(dir: &Path) -> Result<KeyPair, TlsError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|error| TlsError::Unusable { path: dir.join("server.key"), reason: error.to_string() })
}

fn file<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> TlsError + 'a {
    move |source| TlsError::File { what, path: path.to_owned(), source }
}

fn read_private(path: &Path) -> Result<String, TlsError> {
    let mode = fs::metadata(path).map_err(file("read", path))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(TlsError::Exposed { path: path.to_owned(), mode });
    }
    fs::read_to_string(path).map_err(file("read", path))
}

fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    write_whole(path, text.as_bytes(), 0o600).map_err(file("write", path))
}

fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    write_whole(path, text.as_bytes(), 0o644).map_err(file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn makes_an_authority_once_and_a_certificate_when_needed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let first = open(&dir, &names(&["bastide.city.example"]), &[], now).unwrap();
        let (ca, server) = (read("ca.pem"), read("server.pem"));
        for key in ["ca.key", "server.key"] {
            assert_eq!(fs::metadata(dir.join(key)).unwrap().mode() & 0o777, 0o600, "{key}");
        }
        let check = |names: &[String], days: i64, same: bool| {
            let again = open(&dir, names, &[], now.plus_secs(days * 86_400)).unwrap();
            assert_eq!(again.ca_fingerprint, first.ca_fingerprint);
            assert_eq!(read("ca.pem"), ca);
            assert_eq!(read("server.pem") == server, same, "{names:?} after {days} days");
        };
        check(&names(&["bastide.city.example"]), 119, true);
        check(&names(&["bastide.city.example"]), 121, false);
        check(&names(&["other.city.example"]), 0, false);
    }

    #[test]
    fn refuses_a_key_that_others_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        let now = Timestamp::from_secs(1_800_000_000);
        open(&dir, &[], &[], now).unwrap();
        fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o640)).unwrap();
        let error = open(&dir, &[], &[], now).err().unwrap().to_string();
        assert!(error.contains("server.key can be read by others (mode 0640): expected 0600"), "{error}");
    }

    #[test]
    fn says_what_is_wrong_with_a_damaged_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        let now = Timestamp::from_secs(1_800_000_000);
        open(&dir, &[], &[], now).unwrap();
        fs::write(dir.join("server.pem"), "nothing").unwrap();
        let error = open(&dir, &[], &[], now).err().unwrap().to_string();
        assert!(error.contains("server.pem cannot be used") && error.contains("remove "), "{error}");
    }
}
