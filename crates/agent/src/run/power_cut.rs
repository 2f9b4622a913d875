//! The power is cut at every step that changes the disk: whatever was done before holds, and the agent goes on.

use super::*;
use pki::{Addresses, Algorithm, Bounds, Issuer, Profiles, Serial, SoftwareKey, Subject};
use std::{cell::Cell, collections::BTreeSet, fs, path::Path, rc::Rc, sync::Arc};
use wire::Collect;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T12:00:00Z").unwrap()
}

struct Home {
    dir: tempfile::TempDir,
    first: Vec<Vec<u8>>,
    second: Vec<Vec<u8>>,
}

fn issue(issuer: &Issuer, number: u8) -> Identity {
    let key = crate::identity::Key::generate(Algorithm::P256).unwrap();
    let subject = Subject { common_name: "camera".into(), serial_number: None };
    let profiles = Profiles::default();
    let profile = ("device", profiles.get("device").unwrap());
    let serial = Serial::from_random([number; 16]);
    let issued = issuer.issue(&subject, key.signer().public_key(), &[], profile, serial, now()).unwrap();
    Identity::new(key, vec![issued.der]).unwrap()
}

fn packages(root: &Path, count: usize) {
    let entry = |n| format!("Package: p{n}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n");
    fs::write(root.join("var/lib/dpkg/status"), (0..count).map(entry).collect::<String>()).unwrap();
}

/// An enrolled device with nothing said yet, and the certificate that it will have after a renewal.
fn home() -> Home {
    // In memory where there is such a place: a cut is made by the fuse, and not by the disk.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let key = SoftwareKey::generate(Algorithm::P256).unwrap();
    let key = Arc::new(SoftwareKey::from_pkcs8(Algorithm::P256, &key).unwrap());
    let root = Issuer::root("City", &*key, Serial::from_random([9; 16]), now(), 365).unwrap();
    let issuer = Issuer::new(&root.der, key, Bounds::default(), Addresses::default()).unwrap();
    let (first, second) = (issue(&issuer, 1), issue(&issuer, 2));
    let made = Folder::open(&dir.path().join("made")).unwrap();
    let enrolment = Enrolment {
        server: "https://city.example".into(),
        label: None,
        name: "camera".into(),
        algorithm: Algorithm::P256,
    };
    enrolment.save(&made).unwrap();
    Trust::new(vec![root.der]).unwrap().save(&made).unwrap();
    State::default().save(&made).unwrap();
    first.save(&made).unwrap();
    let later = Folder::open(&dir.path().join("later")).unwrap();
    second.save(&later).unwrap();
    let device = dir.path().join("device");
    fs::create_dir_all(device.join("var/lib/dpkg")).unwrap();
    fs::create_dir_all(device.join("etc")).unwrap();
    fs::write(device.join("etc/passwd"), "root::0:0::/:/bin/sh\n").unwrap();
    Home { first: first.chain().to_vec(), second: second.chain().to_vec(), dir }
}

/// What the server saw and what was acknowledged to the agent itself, until the power was cut.
#[derive(Default)]
struct Seen {
    numbers: BTreeSet<u64>,
    taken: BTreeSet<u64>,
    looked: usize,
    contents: BTreeSet<String>,
    settings: u64,
    renewed: bool,
}

fn content(bytes: &[u8]) -> String {
    match Report::from_json(bytes).unwrap().about {
        About::Posture(posture) => content_of(&posture),
        About::Sbom(sbom) => sbom.serial_number,
    }
}

fn send_first(agent: &mut Agent, seen: &mut Seen) -> Result<(), TurnError> {
    let Some(number) = agent.spool.waiting().first().map(|one| one.number) else { return Ok(()) };
    let bytes = agent.spool.read(number)?.expect("what was kept can be read");
    seen.numbers.insert(number);
    seen.contents.insert(content(&bytes));
    agent.taken(number, now())?;
    seen.taken.insert(number);
    Ok(())
}

fn live(home: &Home, folder: Folder, seen: &mut Seen) -> Result<(), TurnError> {
    let device = home.dir.path().join("device");
    packages(&device, 2);
    let (mut agent, _) = Agent::open(folder, Machine::new(&device), now())?;
    agent.look(now())?;
    seen.looked = 1;
    send_first(&mut agent, seen)?;
    packages(&device, 3);
    agent.look(now())?;
    seen.looked = 2;
    let settings = Settings {
        version: VERSION,
        device: agent.identity.fingerprint(),
        number: 5,
        made: now(),
        not_after: now().plus_secs(60),
        report_every: 60,
        collect: Collect::default(),
    };
    agent.keep_settings(settings, "signed")?;
    seen.settings = 5;
    let later = Folder::open(&home.dir.path().join("later"))?;
    agent.identity = Identity::load(&later)?.unwrap();
    agent.identity.save(&agent.folder)?;
    seen.renewed = true;
    while !agent.spool.waiting().is_empty() {
        send_first(&mut agent, seen)?;
    }
    Ok(())
}

/// What a disk may make of a file that was being written: nothing, a part, or what was there before in its blocks.
fn tear(dir: &Path, how: u64) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            tear(&entry.path(), how);
        } else if entry.path().extension().is_some_and(|extension| extension == "new") {
            let bytes = fs::read(entry.path()).unwrap();
            let torn = match how % 3 {
                0 => Vec::new(),
                1 => bytes[..bytes.len() / 2].to_vec(),
                _ => vec![0; bytes.len()],
            };
            fs::write(entry.path(), torn).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_cut_at_any_step_costs_nothing_that_was_kept() {
    let home = home();
    let mut steps = 0;
    loop {
        let dir = home.dir.path().join("lived");
        let _ = fs::remove_dir_all(&dir);
        copy(&home.dir.path().join("made"), &dir);
        let mut folder = Folder::open(&dir).unwrap();
        folder.fuse = Some(Rc::new(Cell::new(steps)));
        let mut seen = Seen::default();
        let outcome = live(&home, folder, &mut seen);
        tear(&dir, steps);

        let device = home.dir.path().join("device");
        let folder = Folder::open(&dir).unwrap_or_else(|error| panic!("after step {steps}: {error}"));
        assert!(!folder.names().unwrap().iter().any(|name| name.ends_with(".new")), "after step {steps}");
        let (mut agent, _) = Agent::open(folder, Machine::new(&device), now())
            .unwrap_or_else(|error| panic!("after step {steps}: {error}"));
        let chain = agent.identity.chain();
        assert!(chain == home.first || chain == home.second, "after step {steps}");
        assert!(!seen.renewed || chain == home.second, "a renewal that was kept is lost after step {steps}");
        let waiting: BTreeSet<u64> = agent.spool.waiting().iter().map(|one| one.number).collect();
        let kept: BTreeSet<u64> = (1..=[0, 2, 4][seen.looked]).collect();
        let lost: Vec<_> =
            kept.difference(&waiting).filter(|number| !seen.numbers.contains(number)).collect();
        assert!(lost.is_empty(), "reports {lost:?} are lost after step {steps}");
        assert!(waiting.is_disjoint(&seen.taken), "what was taken waits again after step {steps}");
        assert!(agent.state.settings >= seen.settings, "older settings would be taken after step {steps}");
        let highest = seen.numbers.iter().chain(&waiting).max().copied().unwrap_or_default();
        assert!(agent.state.next > highest, "a number comes twice after step {steps}");

        // And it goes on: in the end the server knows how the device stands.
        agent.look(now()).unwrap();
        while !agent.spool.waiting().is_empty() {
            send_first(&mut agent, &mut seen).unwrap();
        }
        let last =
            [&agent.state.posture, &agent.state.sbom].map(|last| last.as_ref().unwrap().content.clone());
        for content in last {
            assert!(seen.contents.contains(&content), "the server knows less than is so after step {steps}");
        }
        if outcome.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps > 100, "{steps} steps are too few to be all");
}

#[test]
fn half_a_file_is_told_and_passed_over() {
    let home = home();
    let (dir, device) = (home.dir.path().join("made"), home.dir.path().join("device"));
    packages(&device, 2);
    let open = || Agent::open(Folder::open(&dir).unwrap(), Machine::new(&device), now());
    let (mut agent, words) = open().unwrap();
    assert!(words.is_empty(), "{words:?}");
    agent.look(now()).unwrap();
    let spool = dir.join("spool");
    let half = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    half(&spool.join("00000000000000000001-sbom.json"));
    half(&dir.join("state.json"));
    fs::write(spool.join("rubbish"), "").unwrap();
    let (mut agent, words) = open().unwrap();
    assert!(
        words.len() == 1 && words[0].contains("state.json") && words[0].contains("begun anew"),
        "{words:?}"
    );
    assert_eq!(agent.state.next, 3, "after those that wait");
    assert_eq!(agent.spool.waiting().len(), 2);
    assert_eq!(agent.spool.read(1).unwrap(), None);
    assert_eq!(agent.spool.waiting().len(), 1);
    assert!(agent.spool.read(2).unwrap().is_some());

    half(&dir.join("identity.pem"));
    let error = open().err().unwrap().to_string();
    assert!(error.contains("identity.pem") && error.contains("enrol the device again"), "{error}");
}

#[test]
fn without_a_server_the_newest_of_each_kind_stays() {
    let home = home();
    let device = home.dir.path().join("device");
    let folder = Folder::open(&home.dir.path().join("made")).unwrap();
    packages(&device, 1);
    let (mut agent, _) = Agent::open(folder, Machine::new(&device), now()).unwrap();
    agent.look(now()).unwrap();
    let mut at = now();
    for accounts in 0..200_u32 {
        at = at.plus_secs(3_600);
        let weak: String = (0..=accounts % 50).map(|n| format!("a{n}::0:0::/:/bin/sh\n")).collect();
        fs::write(device.join("etc/passwd"), weak).unwrap();
        agent.look(at).unwrap();
    }
    let waiting = agent.spool.waiting().to_vec();
    assert_eq!(waiting.len(), crate::spool::MOST_REPORTS);
    assert!(waiting.is_sorted_by_key(|one| one.number));
    let last = agent.spool.read(waiting.last().unwrap().number).unwrap().unwrap();
    assert_eq!(content(&last), agent.state.posture.as_ref().unwrap().content);
    let serial = agent.state.sbom.as_ref().unwrap().content.clone();
    let all: Vec<String> =
        waiting.iter().map(|one| content(&agent.spool.read(one.number).unwrap().unwrap())).collect();
    assert!(all.contains(&serial), "the list of software is not shed for postures");
    let total = agent.state.next - 1;
    assert_eq!(agent.state.shed, total - waiting.len() as u64, "what is shed is counted");
}

#[test]
fn a_folder_or_key_that_others_may_use_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let dir = home.dir.path().join("made");
    let set = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&dir), mode(&dir.join("identity.pem"))), (0o700, 0o600));
    for wrong in [0o640, 0o604] {
        set(&dir.join("identity.pem"), wrong);
        let error = Identity::load(&Folder::open(&dir).unwrap()).unwrap_err().to_string();
        assert!(error.contains("can be used by others") && error.contains("expected 0600"), "{error}");
    }
    set(&dir, 0o770);
    let error = Folder::open(&dir).unwrap_err().to_string();
    assert!(error.contains("expected 0755 or less"), "{error}");
    set(&dir, 0o700);
    let folder = Folder::open(&dir).unwrap();
    let _held = folder.lock().unwrap();
    assert!(folder.lock().unwrap_err().to_string().contains("another bastide-agent"));
}
