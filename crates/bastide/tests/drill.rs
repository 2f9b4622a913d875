//! The drill against the real kernel: it comes up, it refuses to be anywhere but in its own namespaces, nothing of it
//! outlives whoever started it, and Bastide cuts off what was taken over and nothing else.
//!
//! Where this machine lets nobody make namespaces, the tests say so and are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bastide");

/// Whether namespaces can be made here, and the programs that the city needs are there.
fn can_drill() -> bool {
    let unshared = Command::new("unshare").args(["-Urnmp", "--fork", "true"]).stderr(Stdio::null()).status();
    let tools = ["ip", "nft"].iter().all(|tool| {
        ["/usr/sbin", "/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(tool).is_file())
    });
    let can = unshared.is_ok_and(|status| status.success()) && tools;
    if !can {
        eprintln!("skipped: this machine lets nobody make namespaces, or ip and nft are missing");
    }
    can
}

fn drill(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["drill", "mirai", "--quick", "--seed", "11", "--out"])
        .arg(out)
        .args(more)
        .env("NO_COLOR", "1");
    command
}

/// Processes whose command line holds a word, by number.
fn processes(word: &str) -> BTreeSet<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&line).contains(word).then_some(number)
        })
        .collect()
}

fn interfaces() -> BTreeSet<String> {
    fs::read_to_string("/proc/net/dev")
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(':').map(|(name, _)| name.trim().to_owned()))
        .collect()
}

/// Waits for a line on the drill's standard error.
fn wait_for(child: &mut Child, word: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(word));
    assert!(found, "the drill never said {word:?}");
    // Somebody has to read on, or the drill would wait for its reader.
    thread::spawn(move || lines.for_each(drop));
}

#[test]
fn nothing_of_the_city_outlives_a_killed_drill() {
    if !can_drill() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let before = interfaces();
    let mark = out.path().display().to_string();
    let mut child = drill(out.path(), &["--only", "watched"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, "every device has its address");
    let lived = processes(&mark);
    assert!(lived.len() >= 3, "the drill, its enclosure and its city: {lived:?}");
    assert_eq!(interfaces(), before, "the city's interfaces are not in this namespace");
    // SIGKILL: nobody gets to clean up.
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !processes(&mark).is_empty() {
        assert!(Instant::now() < deadline, "left over: {:?}", processes(&mark));
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(interfaces(), before);
}

#[test]
fn the_citys_parts_refuse_to_be_anywhere_else() {
    let out = tempfile::tempdir().unwrap();
    let task = out.path().join("task.json");
    let token = "00c0ffee";
    let text = serde_json::json!({
        "seed": 1, "quick": true, "mode": "watched", "out": out.path(), "token": token, "bastide": null
    });
    fs::write(&task, text.to_string()).unwrap();
    let task = task.to_str().unwrap();
    for arguments in [vec!["city", task], vec!["enclose", "1", task], vec!["enclose", "x", task], vec![]] {
        let output = Command::new(PROGRAM).arg("drill-host").args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}: {said}");
        assert!(said.contains("refused") || said.contains("namespaces"), "{arguments:?}: {said}");
    }
}

#[test]
fn what_was_taken_over_is_cut_off_and_nothing_else() {
    if !can_drill() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let output = drill(out.path(), &["--only", "responding", "--format", "json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let drill: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let run = &drill["runs"][0];
    assert_eq!(drill["seed"], 11);
    let acts = run["acts"].as_array().unwrap();
    let camera = run["undone"]["device"].as_str().unwrap_or_default();
    let isolated = |act: &&Value| {
        act["action"] == "isolate"
            && act["device"] == true
            && act["why"].as_str().unwrap_or_default().starts_with(camera)
    };
    assert!(acts.iter().any(|act| isolated(&act)), "the camera is isolated: {acts:?} {said}");
    assert!(run["contained"].is_string(), "and its packets stop: {said}");
    assert_eq!(run["undone"]["back"], true, "and it is back when that is undone: {said}");
    assert_eq!(run["wrongly"], serde_json::json!([]), "{said}");
    assert_eq!(run["decoys_hurt"], serde_json::json!([]), "{said}");
    let folder = out.path().join("responding");
    for file in
        ["report.html", "firewall-before.txt", "firewall-after.txt", "pcap/street0.pcap", "pcap/wan0.pcap"]
    {
        assert!(fs::metadata(folder.join(file)).is_ok_and(|file| file.len() > 24), "{file}");
    }
    assert!(fs::read_to_string(folder.join("firewall-after.txt")).unwrap().contains("table bridge bastide"));
}
