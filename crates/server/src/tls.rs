//! The server's certificate, issued by the node's own authority.
//!
//! Guarantees: its key is made here, never leaves `tls/`, and is readable by its owner only; a key that others can read stops
//! the start; the certificate is issued anew before it ends, when the names change and when its issuer does, so that whoever
//! trusts `ca.pem` once goes on trusting.

use crate::{
    AppState,
    api::Problem,
    ca::{Wanted, peer::AnyCertificate},
    keyfile::write_whole,
    secret,
};
use model::{Net, Timestamp};
use pki::{Algorithm, Bounds, Issuer, NameKind, Profile, Signer as _, SoftwareKey, SubjectName, Usage, View};
use rustls::{
    DistinguishedName, ServerConfig,
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
use store::Admission;
use tokio::sync::watch;

/// By what the node's own certificate is issued.
const PROFILE: &str = "node";
/// How long the server's certificate is good, in days: what browsers accept at most is 398.
const SERVER_DAYS: u32 = 180;
/// It is issued anew when it is good for less than this, in days.
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
    /// A name that no certificate can hold.
    #[error("no certificate can be issued for {name:?}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// The node's own authority issues none.
    #[error("the node's own certificate is not issued: {0}")]
    NotIssued(String),
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

impl From<Problem> for TlsError {
    fn from(problem: Problem) -> Self {
        Self::NotIssued(problem.detail().to_owned())
    }
}

/// What the server shows and where the root's certificate is.
#[derive(Clone)]
pub struct Tls {
    /// For the listener.
    pub config: Arc<ServerConfig>,
    /// The certificate to trust, for browsers and `curl --cacert`.
    pub ca_path: PathBuf,
    /// SHA-256 of the root's certificate, to compare by eye.
    pub ca_fingerprint: String,
}

/// Makes sure that there is a good certificate for the names in `dir`.
///
/// # Errors
/// [`TlsError`], with the file and what to do.
pub async fn open(
    state: &AppState,
    dir: &Path,
    names: &[String],
    addresses: &[IpAddr],
) -> Result<Tls, TlsError> {
    let path = |name: &str| dir.join(name);
    if !dir.exists() {
        fs::DirBuilder::new().mode(0o700).create(dir).map_err(file("make", dir))?;
    }
    let subject = Subject::new(names, addresses)?;
    state.ca().cover_own(&subject.bounds());
    let own = state.in_name_of(state.authority());
    own.ca().trusted(&own).await?;
    let current = fs::read(path("server.pem")).unwrap_or_default();
    let current = CertificateDer::pem_slice_iter(&current).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let view = current.first().and_then(|leaf| View::of(leaf).ok());
    let good_at = |moment: Timestamp, names: Option<&[SubjectName]>| {
        let fits = |view: &View| moment < view.ends && names.is_none_or(|names| view.names == names);
        view.as_ref().is_some_and(fits) && path("server.key").exists()
    };
    let renewed = match own.ca().of(&own, own.repository().authority()).await {
        Ok(issuer) => {
            let subject = subject.within(&issuer.issuer);
            let lasts = good_at(state.now().plus_secs(RENEW_DAYS * 86_400), Some(&subject.names));
            match lasts && current.iter().skip(1).map(AsRef::as_ref).eq(issuer.chain()) {
                true => Ok(()),
                false => issue(&own, dir, &subject).await,
            }
        }
        Err(problem) => Err(problem.into()),
    };
    match renewed {
        // The issuer's key may be away for a while: what it issued holds.
        Err(error) if good_at(state.now(), None) => {
            tracing::warn!(%error, "the node's certificate is not renewed")
        }
        other => other?,
    }
    write_roots(state, dir).await?;
    load(dir)
}

/// Issues the certificate anew before it ends, for as long as the server runs.
pub async fn look_after(
    state: AppState,
    certificate: watch::Sender<Arc<ServerConfig>>,
    dir: PathBuf,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
) {
    loop {
        // Also when another issuer was taken in: who is let in from now on trusts that.
        let _ = tokio::time::timeout(LOOK, state.ca().changed.notified()).await;
        match open(&state, &dir, &names, &addresses).await {
            Ok(tls) => {
                certificate.send_replace(tls.config);
            }
            Err(error) => tracing::error!(%error, "the certificate could not be looked after"),
        }
    }
}

/// Names and addresses of the server's certificate.
struct Subject {
    names: Vec<SubjectName>,
}

impl Subject {
    /// How many names of the machine itself come first.
    const OWN: usize = 3;

    fn new(names: &[String], addresses: &[IpAddr]) -> Result<Self, TlsError> {
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut all = Vec::new();
        for text in
            own.into_iter().chain(names.iter().cloned()).chain(addresses.iter().map(ToString::to_string))
        {
            let name = match text.parse() {
                Ok(address) => SubjectName::Address(address),
                Err(_) => SubjectName::dns(text.trim_end_matches('.'))
                    .map_err(|reason| TlsError::Name { name: text.clone(), reason })?,
            };
            if !all.contains(&name) {
                all.push(name);
            }
        }
        Ok(Self { names: all })
    }

    /// Those of them that an issuer certifies: one that somebody else certified may not name all.
    fn within(&self, issuer: &Issuer) -> Self {
        let allowed = |name: &&SubjectName| match issuer.allows(name) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the node's own certificate leaves this name out");
                false
            }
        };
        Self { names: self.names.iter().filter(allowed).cloned().collect() }
    }

    /// Within what its issuer has to issue.
    fn bounds(&self) -> Bounds {
        let mut bounds = Bounds::default();
        for name in &self.names {
            match name {
                SubjectName::Dns(name) => bounds.domains.push(name.clone()),
                SubjectName::Address(address) => bounds.networks.push(Net::of(*address)),
                SubjectName::Uri(_) | SubjectName::Mail(_) => {}
            }
        }
        bounds
    }

    /// The first name that was given, else this machine's own.
    fn common_name(&self) -> String {
        let first = self.names.get(Self::OWN).or_else(|| self.names.first());
        first.map_or_else(|| "localhost".to_owned(), ToString::to_string).chars().take(64).collect()
    }
}

async fn issue(state: &AppState, dir: &Path, subject: &Subject) -> Result<(), TlsError> {
    let wrong = |error: pki::SignError| TlsError::NotIssued(error.to_string());
    let pkcs8 = SoftwareKey::generate(Algorithm::P256).map_err(wrong)?;
    let key = SoftwareKey::read(&pkcs8).map_err(wrong)?;
    let profile = Profile {
        days: SERVER_DAYS,
        usages: vec![Usage::Server, Usage::Client],
        names: vec![NameKind::Dns, NameKind::Address],
        server_keygen: false,
    };
    let wanted = Wanted {
        asset: None,
        name: &subject.common_name(),
        key: key.public_key(),
        names: &subject.names,
        profile: (PROFILE, &profile),
    };
    let certified = state.ca().issue(state, &wanted, Admission::Program).await?;
    // The key first: where the start is cut off between the two, the certificate does not fit and is issued anew.
    write_private(&dir.join("server.key"), &pem("PRIVATE KEY", &pkcs8))?;
    let chain: String = certified.issuer.chain().map(|der| pem("CERTIFICATE", der)).collect();
    write(&dir.join("server.pem"), &(pem("CERTIFICATE", &certified.der) + &chain))
}

/// The certificates to trust: the root's, and the next one's as soon as it is known.
async fn write_roots(state: &AppState, dir: &Path) -> Result<(), TlsError> {
    let roots = state.repository().roots().await.map_err(Problem::from)?;
    let all: String = roots.iter().map(|root| pem("CERTIFICATE", &root.certificate)).collect();
    let path = dir.join("ca.pem");
    if fs::read_to_string(&path).is_ok_and(|before| before == all) {
        return Ok(());
    }
    write(&path, &all)
}

fn load(dir: &Path) -> Result<Tls, TlsError> {
    let unusable = |path: &Path, error: rustls::pki_types::pem::Error| TlsError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let (ca_path, chain_path, key_path) =
        (dir.join("ca.pem"), dir.join("server.pem"), dir.join("server.key"));
    let ca = CertificateDer::from_pem_file(&ca_path).map_err(|error| unusable(&ca_path, error))?;
    let roots = CertificateDer::pem_file_iter(&ca_path).map_err(|error| unusable(&ca_path, error))?;
    let hints = roots.flatten().filter_map(|root| View::of(&root).ok());
    let hints = hints.map(|view| DistinguishedName::from(view.subject_der)).collect();
    let chain = CertificateDer::pem_file_iter(&chain_path).map_err(|error| unusable(&chain_path, error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(&chain_path, error))?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(read_private(&key_path)?.as_bytes())
        .map_err(|error| unusable(&key_path, error))?;
    let rustls = |source| TlsError::Rustls { dir: dir.to_owned(), source };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(rustls)?
        .with_client_cert_verifier(Arc::new(AnyCertificate::new(provider, hints)))
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(key))
        .map_err(rustls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let digest = secret::hash(&ca).to_uppercase();
    let pairs: Vec<String> =
        digest.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
    Ok(Tls { config: Arc::new(config), ca_path, ca_fingerprint: pairs.join(":") })
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).filter_map(|at| text.get(at..text.len().min(at + 64))).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
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
    use model::Timestamp;
    use std::{
        os::unix::fs::PermissionsExt as _,
        sync::atomic::{AtomicI64, Ordering},
    };

    const START: i64 = 1_800_000_000;

    async fn node(dir: &Path, clock: &Arc<AtomicI64>) -> AppState {
        let clock = Arc::clone(clock);
        AppState::bare(dir)
            .await
            .with_clock(Arc::new(move || Timestamp::from_secs(clock.load(Ordering::Relaxed))))
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test]
    async fn a_certificate_is_issued_when_it_is_needed_and_the_root_stays() {
        let data = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START));
        let state = node(data.path(), &clock).await;
        let dir = data.path().join("tls");
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        let city = names(&["bastide.city.example"]);
        let first = open(&state, &dir, &city, &[]).await.unwrap();
        let (ca, server) = (read("ca.pem"), read("server.pem"));
        assert_eq!(fs::metadata(dir.join("server.key")).unwrap().mode() & 0o777, 0o600);
        for (names, days, same) in [
            (city.clone(), 119, true),
            (city.clone(), 121, false),
            (names(&["other.city.example"]), 0, false),
        ] {
            clock.store(START + days * 86_400, Ordering::Relaxed);
            let again = open(&state, &dir, &names, &[]).await.unwrap();
            assert_eq!(again.ca_fingerprint, first.ca_fingerprint);
            assert_eq!(read("ca.pem"), ca);
            assert_eq!(read("server.pem") == server, same, "{names:?} after {days} days");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_used_says_what_to_do() {
        let data = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START));
        let state = node(data.path(), &clock).await;
        let dir = data.path().join("tls");
        open(&state, &dir, &[], &[]).await.unwrap();
        fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o640)).unwrap();
        let error = open(&state, &dir, &[], &[]).await.err().unwrap().to_string();
        assert!(error.contains("server.key can be read by others (mode 0640): expected 0600"), "{error}");
        fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(dir.join("server.key"), "nothing").unwrap();
        let error = open(&state, &dir, &[], &[]).await.err().unwrap().to_string();
        assert!(error.contains("server.key cannot be used") && error.contains("remove "), "{error}");
        // A damaged certificate is issued anew.
        fs::write(dir.join("server.pem"), "nothing").unwrap();
        open(&state, &dir, &[], &[]).await.unwrap();
        let error = open(&state, &dir, &names(&["*.city.example"]), &[]).await.err().unwrap().to_string();
        assert!(error.contains("\"*.city.example\": wildcards are not issued"), "{error}");
    }
}
