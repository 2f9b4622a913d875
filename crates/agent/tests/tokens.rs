//! A device whose key is on a token: in a TPM that swtpm plays, or in SoftHSM.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod city;
#[path = "../../pkcs11/tests/tokens/mod.rs"]
mod tokens;

use agent::{
    enrol::{Enrol, Ground},
    identity::Identity,
};
use city::{City, Device, now, turn};
use pkcs11::{Place, TokenKey};
use pki::Algorithm;
use std::{fs, path::Path, process::Command};
use tokens::Tokens;

fn enrol(city: &City, device: &Device, token: Option<&Place>) -> Result<Identity, String> {
    let enrol = Enrol {
        server: city.server(),
        label: None,
        ground: Ground::Token(city.token()),
        name: "camera-7".into(),
        algorithm: Algorithm::P256,
        token: token.cloned(),
    };
    let done = enrol.run(&device.folder(), now(), &mut |_| {}, &mut |_| now());
    done.map_err(|error| error.to_string())
}

/// No file of a folder holds a private key.
fn holds_no_key(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let text = fs::read(entry.path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains("PRIVATE KEY"), "{}", entry.path().display());
    }
}

/// Enrols, reports and renews with keys on this token; the key of before leaves it.
fn lives_on(place: &Place) {
    let (city, device) = (City::new(), Device::new());
    let first = enrol(&city, &device, Some(place)).unwrap();
    let kept = first.key().token().unwrap().clone();
    assert_eq!(place.with_object(kept.object().unwrap()), kept);
    holds_no_key(&device.path("agent"));
    let mut agent = device.agent(now());
    turn(&mut agent, now(), 0);
    assert_eq!(city.behaviour.lock().unwrap().reports.len(), 2);
    let due = first.renew_from();
    let (_, said) = turn(&mut agent, due, 100_000);
    assert!(said.contains("the certificate is renewed, until"), "{said}");
    let renewed = agent.identity().key().token().unwrap().clone();
    assert_ne!(renewed, kept);
    TokenKey::open(renewed).unwrap();
    TokenKey::open(kept).unwrap_err();
    // A start reads what is kept, and the token is not asked before it has to sign.
    assert_eq!(
        Identity::load(&device.folder()).unwrap().unwrap().fingerprint(),
        agent.identity().fingerprint()
    );
}

fn inside() -> Option<Place> {
    Some(std::env::var_os("TOKEN_URI")?.into_string().unwrap().parse().unwrap())
}

#[test]
fn a_device_lives_with_its_keys_on_a_token() {
    let Some(place) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::softhsm(dir.path()) else { return };
        let uri = tokens.add("device");
        return tokens.again("a_device_lives_with_its_keys_on_a_token", &uri);
    };
    lives_on(&place);
}

#[test]
fn a_device_lives_with_its_keys_in_a_tpm() {
    let Some(place) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::tpm(dir.path()) else { return };
        return tokens.again("a_device_lives_with_its_keys_in_a_tpm", &tokens.uri("device"));
    };
    let text = place.to_string();
    let module = text.split_once("module-path=").unwrap().1.split_once('&').unwrap().0;
    let pin = text.split_once("pin-source=file:").unwrap().1;
    Place::make_token(Path::new(module), "device", Path::new(pin), "98765432").unwrap();
    lives_on(&place);
}

#[test]
fn a_token_that_is_away_is_said_and_nothing_falls_back_to_a_file() {
    let Some(place) = inside() else {
        let dir = tempfile::tempdir().unwrap();
        let Some(tokens) = Tokens::softhsm(dir.path()) else { return };
        let uri = tokens.add("device");
        return tokens.again("a_token_that_is_away_is_said_and_nothing_falls_back_to_a_file", &uri);
    };
    let (city, device) = (City::new(), Device::new());
    let other = place.to_string().replace("token=device", "token=other").parse().unwrap();
    let error = enrol(&city, &device, Some(&other)).unwrap_err();
    assert!(
        error.contains("the token \"other\" is not there (") && error.contains("shows \"device\""),
        "{error}"
    );
    holds_no_key(&device.path("agent"));
    // The same device goes on with another place, whatever it began with.
    enrol(&city, &device, None).unwrap();
    assert!(Identity::load(&device.folder()).unwrap().unwrap().key().token().is_none());
}

/// The program, which finds the TPM by itself and says what it took; its memory with the TPM's libraries in it.
#[test]
fn the_program_takes_the_tpm_where_there_is_one() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(mut tokens) = Tokens::tpm(dir.path()) else { return };
    // By the machine's clock: the program has no other.
    let since = std::fs::metadata(dir.path()).unwrap().modified().unwrap();
    let since = since.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let city = City::at(model::Timestamp::from_secs(i64::try_from(since).unwrap()));
    let place = folder.path().join("agent");
    let program = |arguments: &[&str], tpm: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bastide-agent"));
        command.args(arguments).arg("--dir").arg(&place).env_clear();
        // The store lies in the agent's folder, where nobody says otherwise.
        command.envs(tpm.map(|tpm| ("TPM2_PKCS11_TCTI", tpm)));
        command
    };
    let tcti = tokens.variables.iter().find(|(name, _)| name.ends_with("TCTI")).unwrap().1.clone();
    let (server, token) = (city.server().to_string(), city.token().reveal());
    let enrol = ["enrol", "--server", &server, "--token", &token, "--name", "camera-7"];
    let done = |arguments: &[&str], tpm| {
        let done = program(arguments, tpm).output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(done.status.success(), "{said}");
        said
    };
    let said = done(&enrol, Some(&tcti));
    assert!(said.contains("the key is made in the TPM"), "{said}");
    let stands = done(&["status"], None);
    assert!(stands.contains("at pkcs11:token=bastide-agent;object=bastide-agent"), "{stands}");
    holds_no_key(&place);
    // Without a TPM: in a file, and it is said why.
    let said = done(&[&enrol[..], &["--replace"]].concat(), None);
    assert!(said.contains("the key is made in a file") && said.contains("no TPM can be used: "), "{said}");
    tokens.power_cycle();
    let said = done(&[&enrol[..], &["--replace", "--key", "file"]].concat(), Some(&tcti));
    assert!(!said.contains("TPM"), "{said}");
    assert!(done(&["status"], None).contains(", in a file"));
    // And back, to see what it costs.
    tokens.power_cycle();
    done(&[&enrol[..], &["--replace"]].concat(), Some(&tcti));
    tokens.power_cycle();
    let mut running = program(&["run"], Some(&tcti)).spawn().unwrap();
    let began = std::time::Instant::now();
    while city.behaviour.lock().unwrap().reports.len() < 2 {
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "no report came");
        std::thread::yield_now();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    eprintln!("with the TPM's libraries: {kib} KiB resident at its peak");
    assert!(kib <= 16 * 1_024, "{kib} KiB resident");
}
