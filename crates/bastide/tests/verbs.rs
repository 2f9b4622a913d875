//! The verbs as a person types them: exit codes, where they refuse, and what they say of themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bastide");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env_clear().output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

/// In a network of its own, where a packet filter can be emptied without harm.
fn run_apart(arguments: &[&str]) -> Option<Output> {
    let apart = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["-Urn", "--", program]).env_remove("BASTIDE_DATA_DIR");
        command
    };
    if !apart("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no network namespaces to be had here");
        return None;
    }
    Some(apart(PROGRAM).args(arguments).output().unwrap())
}

#[test]
fn help_names_the_program_and_not_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other-name");
    std::os::unix::fs::symlink(PROGRAM, &other).unwrap();
    for verb in [
        "",
        "analyze",
        "up",
        "drill",
        "drill mirai",
        "stop-responding",
        "respond",
        "respond status",
        "respond resume",
        "command",
        "command list",
        "command undo",
        "sensor",
    ] {
        for last in ["--help", "--no-such-flag"] {
            let output = Command::new(&other).args(verb.split_whitespace()).arg(last).output().unwrap();
            let said = said(&output);
            assert!(said.contains(format!("Usage: bastide {verb}").trim_end()), "{verb} {last}: {said}");
            assert!(!said.contains("other-name"), "{verb} {last}: {said}");
        }
    }
}

fn log(lines: u32) -> String {
    let line = |number| {
        format!(
            "{{\"ts\":{}.5,\"uid\":\"C\",\"id.orig_h\":\"10.1.2.3\",\"id.orig_p\":40000,\"id.resp_h\":\"10.1.{}.{}\",\
             \"id.resp_p\":23,\"proto\":\"tcp\",\"conn_state\":\"S0\",\"orig_pkts\":1,\"orig_ip_bytes\":40,\
             \"resp_pkts\":0,\"resp_ip_bytes\":0,\"history\":\"S\"}}\n",
            1_700_000_000 + number / 20,
            3 + number / 200,
            1 + number % 200
        )
    };
    (0..lines).map(line).collect()
}

#[test]
fn analyze_ends_with_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let quiet = file("quiet.log", &log(3));
    let scan = file("scan.log", &log(400));
    let torn = file("torn.log", &format!("{}{{\"ts\":17", log(400)));
    let junk = file("junk", "nothing that is known");
    let check = |arguments: &[&str], code: i32| {
        let output = run(&[&["analyze"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    check(&[&quiet], 0);
    check(&[&quiet, "--fail-on", "info"], 0);
    check(&[&junk], 1);
    check(&["--fail-on", "loud", &quiet], 1);
    check(&[&quiet, &junk], 2);
    check(&[&torn], 2);
    check(&[&torn, "--fail-on", "LOW"], 3);
    let text = check(&[&scan, "--fail-on", "low"], 3);
    assert!(text.contains("400 flows"), "{text}");
}

/// Keeps a process for as long as this lives.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_sensors_do_not_share_a_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("conn.log");
    fs::write(&log, "").unwrap();
    let sensor = || {
        let mut command = Command::new(PROGRAM);
        command.arg("sensor").arg("--follow").arg(&log).arg("--state-dir").arg(dir.path().join("state"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut first = Kept(sensor().spawn().unwrap());
    // It says something once it runs.
    let mut line = String::new();
    let out = first.0.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let second = sensor().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = said(&second);
    let expected =
        format!("is in use by process {}: stop that one, or choose another directory", first.0.id());
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_folder_without_a_node_is_never_taken_for_one_where_nothing_is_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let text = |path: &Path| path.display().to_string();
    let (missing, node) = (dir.path().join("missing"), dir.path().join("node"));
    fs::create_dir(&node).unwrap();
    // What every node makes at its first start, wherever its database is.
    fs::write(node.join("lock"), "").unwrap();
    let verbs: [&[&str]; 4] = [
        &["respond", "status"],
        &["respond", "resume"],
        &["command", "list"],
        &["command", "undo", "cmd-0123456789abcdef"],
    ];
    for verb in verbs {
        let output = run(&[verb, &["--data-dir", &text(&missing)]].concat());
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        assert!(
            said(&output)
                .contains("missing holds no Bastide data: expected the data directory of `bastide up`")
        );
        assert!(!missing.exists(), "{verb:?} makes nothing");
    }
    // A node whose sensor never ran.
    let status = run(&["respond", "status", "--data-dir", &text(&node)]);
    assert_eq!(status.status.code(), Some(0), "{}", said(&status));
    assert!(said(&status).contains("responding is not stopped\nnothing is in force"), "{}", said(&status));
    assert!(!node.join("sensor").exists(), "looking makes nothing");

    for verb in [&["stop-responding"][..], &["command", "undo", "--all"]] {
        let Some(output) = run_apart(&[verb, &["--data-dir", &text(&missing)]].concat()) else { return };
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        let said = said(&output);
        assert!(said.contains("holds nothing of ours any more, but nothing was written down"), "{said}");
        assert!(said.contains("missing holds no Bastide data"), "{said}");
        assert!(!missing.exists(), "{verb:?} makes nothing");
    }
    let Some(stopped) = run_apart(&["stop-responding", "--data-dir", &text(&node)]) else { return };
    assert_eq!(stopped.status.code(), Some(0), "{}", said(&stopped));
    let status = run(&["respond", "status", "--data-dir", &text(&node)]);
    assert!(said(&status).contains("responding is stopped"), "{}", said(&status));
}

#[test]
fn links_and_tokens_are_handed_out_to_the_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let database = data.join("bastide.sqlite");
    fs::write(&database, "").unwrap();
    if chown(&data, Some(4711), None).and_then(|()| chown(&database, Some(4711), None)).is_err() {
        eprintln!("SKIPPED: only root can give a directory away");
        return;
    }
    for what in [&["--sign-in-link"][..], &["--token", "prometheus"]] {
        let output = run(&[&["up", "--data-dir", &data.display().to_string()], what].concat());
        assert_eq!(output.status.code(), Some(1), "{what:?}");
        let caller = fs::metadata("/proc/self").unwrap().uid();
        let expected = format!("belongs to user 4711 and this is user {caller}: start it as that user");
        assert!(said(&output).contains(&expected), "{}", said(&output));
    }
}

#[test]
fn whoever_stops_reading_has_seen_enough() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lock"), "").unwrap();
    for verb in [&["respond", "status"][..], &["up", "--print-config"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let arguments = [verb, &["--data-dir", dir.path().to_str().unwrap()]].concat();
        let output =
            Command::new(PROGRAM).args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb:?}: {}", said(&output));
    }
}
