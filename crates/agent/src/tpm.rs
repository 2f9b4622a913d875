//! The TPM of this device, where it has one that can be used: by way of tpm2-pkcs11, in a token of the agent's own.

use crate::disk::{DiskError, Folder};
use pkcs11::Place;
use pki::SignError;
use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// What the agent's token is called, and with what the names of its keys begin.
pub const LABEL: &str = "bastide-agent";
/// The file in the agent's folder that opens the token.
const PIN: &str = "tpm.pin";
/// In which folders of `/usr` modules lie, beside those of an architecture below `lib`.
const FOLDERS: [&str; 2] = ["/usr/lib", "/usr/lib64"];
const MODULE: &str = "libtpm2_pkcs11.so";
/// The TPM with the kernel's own resource manager.
const DEVICE: &str = "/dev/tpmrm0";
/// The same, as [`TPM`] names it.
pub const KERNELS: &str = "device:/dev/tpmrm0";

/// By which variables tpm2-pkcs11 is told where it keeps what belongs to its tokens, and where the TPM is.
pub const STORE: &str = "TPM2_PKCS11_STORE";
/// The same of the TPM.
pub const TPM: &str = "TPM2_PKCS11_TCTI";

/// The agent's token in the TPM; made where there is none. `named` is what [`TPM`] says.
///
/// # Errors
/// Why no TPM is used, in words.
pub fn token(folder: &Folder, named: Option<&OsStr>) -> Result<Place, String> {
    let module = module().ok_or_else(|| format!("{MODULE} is not installed (package libtpm2-pkcs11-1)"))?;
    if named.is_none_or(|named| named == KERNELS) {
        let opened = File::options().read(true).write(true).open(DEVICE);
        opened.map_err(|error| format!("{DEVICE}: {error}"))?;
    }
    let pin = pin(folder).map_err(|error| error.to_string())?;
    let admin = random().map_err(|error| error.to_string())?;
    Place::make_token(&module, LABEL, &pin, &admin).map_err(|error| error.to_string())
}

/// The file with the PIN; made where there is none. Whoever may read the folder may use the key, and not take it away.
fn pin(folder: &Folder) -> Result<PathBuf, DiskError> {
    if folder.read_secret(PIN, 256)?.is_none() {
        let made = random().map_err(|error| folder.content(PIN, error.to_string()))?;
        folder.replace(PIN, format!("{made}\n").as_bytes())?;
    }
    // A token's place is absolute.
    fs::canonicalize(folder.path(PIN)).map_err(|error| folder.content(PIN, error.to_string()))
}

/// The module, where it is installed.
#[must_use]
pub fn module() -> Option<PathBuf> {
    let below = |folder: &&str| fs::read_dir(folder).ok();
    let inner = FOLDERS.iter().filter_map(below).flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).chain(inner).collect();
    folders.sort();
    folders.iter().map(|folder| folder.join("pkcs11").join(MODULE)).find(|path| Path::exists(path))
}

/// 128 random bits in hexadecimal.
pub(crate) fn random() -> Result<String, SignError> {
    let mut bytes = [0; 16];
    let mut source = File::open("/dev/urandom");
    let read = source.as_mut().map_err(|error| error.to_string());
    let read =
        read.and_then(|file| std::io::Read::read_exact(file, &mut bytes).map_err(|error| error.to_string()));
    read.map_err(|error| SignError::Refused(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
