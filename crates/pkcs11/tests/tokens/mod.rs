//! Tokens for tests: SoftHSM, and a TPM that swtpm plays, reached through tpm2-pkcs11. Where their programs are not
//! installed, a test says that it skips itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(dead_code, reason = "each test uses some of it")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) const PIN: &str = "4711-2323";
const SOFTHSM: &[&str] = &["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];
const TPM: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
    "/usr/lib64/pkcs11/libtpm2_pkcs11.so",
];

/// A module with what its processes have to know.
pub(crate) struct Tokens {
    pub(crate) module: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) variables: Vec<(&'static str, String)>,
    tpm: Option<Child>,
}

impl Drop for Tokens {
    fn drop(&mut self) {
        if let Some(mut tpm) = self.tpm.take() {
            let _ = tpm.kill();
            let _ = tpm.wait();
        }
    }
}

impl Tokens {
    /// SoftHSM with a folder of its own.
    pub(crate) fn softhsm(dir: &Path) -> Option<Self> {
        let module = installed("softhsm2", &["softhsm2-util"], SOFTHSM)?;
        fs::create_dir(dir.join("tokens")).unwrap();
        let settings =
            format!("directories.tokendir = {}\nlog.level = ERROR\n", dir.join("tokens").display());
        fs::write(dir.join("softhsm2.conf"), settings).unwrap();
        let variables = vec![("SOFTHSM2_CONF", dir.join("softhsm2.conf").display().to_string())];
        Some(Self { module, dir: dir.to_owned(), variables, tpm: None })
    }

    /// The same in another process.
    pub(crate) fn there(module: PathBuf, dir: &Path) -> Self {
        Self { module, dir: dir.to_owned(), variables: Vec::new(), tpm: None }
    }

    /// A TPM of its own.
    pub(crate) fn tpm(dir: &Path) -> Option<Self> {
        let module = installed("swtpm and libtpm2-pkcs11-1", &["swtpm"], TPM)?;
        fs::create_dir(dir.join("state")).unwrap();
        fs::create_dir(dir.join("store")).unwrap();
        let variables = vec![
            ("TPM2_PKCS11_STORE", dir.join("store").display().to_string()),
            ("TPM2_PKCS11_TCTI", format!("swtpm:path={}", dir.join("tpm").display())),
        ];
        let mut tokens = Self { module, dir: dir.to_owned(), variables, tpm: None };
        tokens.power_cycle();
        Some(tokens)
    }

    /// Switches the TPM on, off before: without the kernel's resource manager it keeps what a process left behind.
    pub(crate) fn power_cycle(&mut self) {
        if let Some(mut tpm) = self.tpm.take() {
            let _ = tpm.kill();
            let _ = tpm.wait();
        }
        let (dir, socket) = (&self.dir, self.dir.join("tpm"));
        let at = |path: &Path| format!("type=unixio,path={}", path.display());
        let _ = fs::remove_file(dir.join("tpm.ctrl"));
        let _ = fs::remove_file(&socket);
        let mut tpm = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", dir.join("state").display())])
            .args(["--server", &at(&socket), "--ctrl", &at(&dir.join("tpm.ctrl"))])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !dir.join("tpm.ctrl").exists() {
            assert!(tpm.try_wait().unwrap().is_none(), "swtpm ended");
            assert!(began.elapsed() < Duration::from_secs(20), "swtpm does not begin");
            std::thread::yield_now();
        }
        self.tpm = Some(tpm);
    }

    /// A token of SoftHSM of that label; its URI.
    pub(crate) fn add(&self, label: &str) -> String {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "98765432"])
            .envs(self.variables.clone())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        self.uri(label)
    }

    /// The URI of a token of that label; its PIN lies in a file.
    pub(crate) fn uri(&self, label: &str) -> String {
        let pin = self.pin(PIN);
        format!(
            "pkcs11:token={label}?module-path={}&pin-source=file:{}",
            self.module.display(),
            pin.display()
        )
    }

    /// Writes the file with the PIN.
    pub(crate) fn pin(&self, pin: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.join("pin");
        fs::write(&path, format!("{pin}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The token goes away, or comes back.
    pub(crate) fn plugged(&self, is_there: bool) {
        let (here, away) = (self.dir.join("tokens"), self.dir.join("tokens.away"));
        if is_there {
            fs::remove_dir(&here).unwrap();
            fs::rename(away, here).unwrap();
        } else {
            fs::rename(&here, away).unwrap();
            fs::create_dir(&here).unwrap();
        }
    }

    /// Runs this test once more, in a process that knows where the tokens are: a module reads that from variables.
    pub(crate) fn again(&self, test: &str, uri: &str) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .envs(self.variables.clone())
            .envs([("TOKEN_DIR", self.dir.as_os_str()), ("TOKEN_URI", OsStr::new(uri))])
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }
}

fn installed(packages: &str, programs: &[&str], modules: &[&str]) -> Option<PathBuf> {
    let has = |program: &&str| {
        Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
    };
    let module = modules.iter().map(PathBuf::from).find(|module| module.exists());
    let module = module.filter(|_| programs.iter().all(has));
    if module.is_none() {
        eprintln!("SKIPPED: this test needs the packages {packages}");
    }
    module
}
