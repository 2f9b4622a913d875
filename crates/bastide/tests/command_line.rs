//! `bastide sign-in` and the nouns, as an administrator uses them: the real program, a real node, and somebody in a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod node;

use node::{Node, PROGRAM, house, run, scan_log, until, word};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Somebody at a terminal.
struct Terminal {
    home: PathBuf,
    data: PathBuf,
}

/// What a command came to.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    fn badly(self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "{part}: {}", self.err);
        }
    }
}

impl Terminal {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.home);
        command
            .env("BASTIDE_DATA_DIR", &self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let output = self.command(arguments).envs(environment.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn file(&self) -> PathBuf {
        self.home.join(".config/bastide/credentials.json")
    }

    /// Signs in, with somebody who answers in a browser.
    fn sign_in(&self, node: &Node, more: &[&str], answer: &str) -> Said {
        let mut child = self.command(&[&["sign-in", "--server", &node.url], more].concat()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut shown = String::new();
        while !shown.contains("shows the code") || !shown.trim_end().ends_with(code(&shown)) {
            assert_ne!(out.read_line(&mut shown).unwrap(), 0, "{shown}");
        }
        let code = code(&shown).to_owned();
        let page = node.curl(&format!("/sign-in/device?user_code={code}"), &[]);
        assert!(page.status == 200 && page.text.contains("Let this program in?"), "{}", page.text);
        let body = format!("user_code={code}&answer={answer}");
        let origin = format!("Origin: {}", node.url);
        assert_eq!(node.curl("/sign-in/device", &["--header", &origin, "--data", &body]).status, 200);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        let output = child.wait_with_output().unwrap();
        Said { code: output.status.code(), out: rest, err: String::from_utf8(output.stderr).unwrap() }
    }
}

/// The code in what is shown: that of the address.
fn code(shown: &str) -> &str {
    shown.split("?user_code=").nth(1).map_or("?", |rest| rest.split_whitespace().next().unwrap())
}

fn scene(more: &[&str]) -> (tempfile::TempDir, Node, Terminal) {
    let (dir, data) = house();
    let node = Node::start(&data, more);
    assert_eq!(node.press(node.link(), &[]).status, 303);
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    (dir, node, Terminal { home, data })
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_person_signs_in_looks_around_and_out_again() {
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("conn.log");
    std::fs::write(&log, scan_log()).unwrap();
    let (_dir, node, terminal) = scene(&["--follow", log.to_str().unwrap(), "--follow-from-start"]);
    terminal
        .run(&["whoami"])
        .badly(&["nobody is signed in to https://localhost:8443", "bastide sign-in --server"]);

    let said = terminal.sign_in(&node, &[], "yes").well();
    assert!(said.contains(&format!("Signed in to {} as administrator until ", node.url)), "{said}");
    assert_eq!((mode(&terminal.file()), mode(terminal.file().parent().unwrap())), (0o600, 0o700));
    assert!(node.curl("/account", &[]).text.contains("command line"));

    // The server that was signed in to last is the one that is meant.
    let who = terminal.run(&["whoami"]).well();
    assert!(who.starts_with(&format!("administrator on {}, of local, until ", node.url)), "{who}");
    assert!(who.contains("\n  analyst in local\n"), "{who}");
    assert_eq!(json(&terminal.run(&["whoami", "--json"]).well())["session"]["method"], "cli");

    until("the incident", || terminal.run(&["incident", "list"]).well().contains("inc-").then_some(()));
    let listed = terminal.run(&["incident", "list", "--state", "open"]).well();
    let id = word(&listed, "inc-").to_owned();
    assert!(listed.starts_with("ID ") && listed.contains(" open "), "{listed}");
    assert_eq!(json(&terminal.run(&["incident", "list", "--json"]).well())["items"][0]["id"], id.as_str());
    let shown = terminal.run(&["incident", "show", &id]).well();
    assert!(shown.contains("Evidence\n") && shown.contains("10.1.2.3"), "{shown}");
    let close = ["incident", "close", &id, "--as", "resolved", "--reason", "the installer"];
    assert_eq!(terminal.run(&close).well(), format!("{id} is closed as resolved\n"));
    assert_eq!(terminal.run(&["incident", "list", "--state", "open"]).well(), "no incidents\n");
    assert_eq!(terminal.run(&["incident", "reopen", &id]).well(), format!("{id} is open again\n"));
    terminal.run(&["incident", "reopen", &id]).badly(&["open"]);
    let assets = terminal.run(&["asset", "list"]).well();
    assert!(assets.starts_with("ID ") || assets == "no assets\n", "{assets}");
    terminal.run(&["asset", "show", "../people"]).badly(&["there is no asset"]);
    assert_eq!(terminal.run(&["plan", "list", "--status", "active"]).well(), "no plans\n");

    for name in ["bea", "cleo", "dan"] {
        let said = terminal.run(&["person", "invite", name, "--role", "analyst"]).well();
        assert!(said.contains(&format!("{}/sign-in?link=", node.url)), "{said}");
    }
    terminal.run(&["person", "invite", "bea"]).badly(&["this login cannot be had on this node; expected"]);
    let people = terminal.run(&["person", "list", "--limit", "3"]).well();
    assert!(people.contains("3 of 4 people; --limit shows more"), "{people}");
    let all = json(&terminal.run(&["person", "list", "--limit", "1000", "--json"]).well());
    assert_eq!((all["items"].as_array().unwrap().len(), &all["total"]), (4, &4.into()));
    let bea = all["items"].as_array().unwrap().iter().find(|person| person["login"] == "bea").unwrap();
    let shown = terminal.run(&["person", "show", bea["id"].as_str().unwrap()]).well();
    assert!(shown.contains("analyst in local"), "{shown}");
    let decided = terminal.run(&["decision", "list"]).well();
    for part in ["person-invited", "incident-reopened", "resolved: the installer", "by cli from 127.0.0.1"] {
        assert!(decided.contains(part), "{part}: {decided}");
    }
    terminal.run(&["incident", "list", "--authority", "nowhere"]).badly(&["there is no authority"]);
    terminal.run(&["incident", "list", "--severity", "loud"]).badly(&["expected one of `info`"]);

    assert_eq!(terminal.run(&["sign-out"]).well(), format!("Signed out of {}.\n", node.url));
    terminal.run(&["sign-out", "--server", &node.url]).badly(&["nobody is signed in"]);
    assert!(!std::fs::read_to_string(terminal.file()).unwrap().contains("token"));
    assert!(!node.curl("/account", &[]).text.contains("command line"));
}

#[test]
fn no_is_no_and_what_has_ended_is_said() {
    let (_dir, node, terminal) = scene(&[]);
    terminal.sign_in(&node, &[], "no").badly(&["the answer in the browser was no"]);
    assert!(!terminal.file().exists());

    terminal.sign_in(&node, &["--ca", node.dir.join("tls/ca.pem").to_str().unwrap()], "yes").well();
    let first = std::fs::read_to_string(terminal.file()).unwrap();
    // Signed in anew, the session before is over.
    terminal.sign_in(&node, &[], "yes").well();
    let second = std::fs::read_to_string(terminal.file()).unwrap();
    std::fs::write(terminal.file(), &first).unwrap();
    let ended = ["the session on", "has ended", "bastide sign-in --server"];
    terminal.run(&["whoami"]).badly(&ended);
    assert!(terminal.run(&["sign-out"]).well().contains("; the session had ended before."));
    std::fs::write(terminal.file(), &second).unwrap();
    terminal.run(&["whoami"]).well();

    // What others may read is not used.
    std::fs::set_permissions(terminal.file(), PermissionsExt::from_mode(0o644)).unwrap();
    terminal.run(&["whoami"]).badly(&["credentials.json can be used by others (mode 0644)", "chmod 600"]);
}

#[test]
fn a_server_that_cannot_be_trusted_or_reached_is_told_apart() {
    let (dir, node, terminal) = scene(&[]);
    let elsewhere = Terminal { home: terminal.home.clone(), data: dir.path().join("nothing") };
    elsewhere.run(&["sign-in", "--server", &node.url]).badly(&[
        "cannot be trusted",
        "UnknownIssuer",
        "--ca FILE",
    ]);
    let other = dir.path().join("other");
    let another = Node::start(&other, &[]);
    let ca = other.join("tls/ca.pem");
    let wrong = ["sign-in", "--server", &node.url, "--ca", ca.to_str().unwrap()];
    elsewhere.run(&wrong).badly(&["cannot be trusted", "not the authority in", "other/tls/ca.pem"]);
    another.stop();
    terminal.run(&["sign-in", "--server", "http://localhost:1"]).badly(&["wrong --server", "over TLS only"]);
    terminal.run(&["sign-in", "--server", "localhost"]).badly(&["expected an address such as https://"]);
    terminal.run(&["sign-in", "--ca", "/does/not/exist"]).badly(&["wrong --ca", "/does/not/exist"]);
    terminal
        .run(&["sign-in", "--server", "https://localhost:1"])
        .badly(&["cannot be reached", "--server URL"]);
}

#[test]
fn a_script_brings_its_token_and_keeps_nothing() {
    let (_dir, node, terminal) = scene(&[]);
    let token = String::from_utf8(run(&node.dir, &["--token", "script"]).stdout).unwrap();
    let with = [("BASTIDE_SERVER", node.url.as_str()), ("BASTIDE_TOKEN", token.trim())];
    let said = terminal.run_with(&["whoami"], &with).well();
    assert!(said.starts_with("token script on "), "{said}");
    assert!(said.contains("auditor in local"), "{said}");
    assert_eq!(terminal.run_with(&["incident", "list"], &with).well(), "no incidents\n");
    terminal.run_with(&["person", "invite", "eve"], &with).badly(&["you may not do this; expected"]);
    let wrong = [with[0], ("BASTIDE_TOKEN", "wrong")];
    terminal.run_with(&["incident", "list"], &wrong).badly(&["does not take the token in BASTIDE_TOKEN"]);
    terminal.run_with(&["whoami"], &[with[0], ("BASTIDE_TOKEN", "a\nb")]).badly(&["wrong BASTIDE_TOKEN"]);
    assert!(!terminal.file().exists());
}
