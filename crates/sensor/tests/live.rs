//! The sensor on living traffic, in network namespaces of the tests' own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

mod network;

use network::{Machine, in_own_network, ip};
use sensor::{InterfaceState, Notice, Order, SensorConfig, SensorError, SensorHandle, Stats};
use std::{
    fs,
    io::Write as _,
    net::{TcpStream, UdpSocket},
    path::Path,
    process::Command,
    sync::mpsc::RecvTimeoutError,
    thread,
    time::{Duration, Instant},
};

fn start(interfaces: &[&str], state_dir: &Path) -> SensorHandle {
    sensor::spawn(SensorConfig {
        interfaces: interfaces.iter().map(|&interface| interface.to_owned()).collect(),
        state_dir: state_dir.to_owned(),
        ..SensorConfig::default()
    })
    .unwrap()
}

/// The first notice that somebody is waiting for.
fn await_notice<T>(sensor: &SensorHandle, mut wanted: impl FnMut(Notice) -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match sensor.notices.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(notice) => {
                if let Some(found) = wanted(notice) {
                    return found;
                }
            }
            Err(RecvTimeoutError::Timeout) => panic!("nothing of the kind within 20 s"),
            Err(RecvTimeoutError::Disconnected) => panic!("the sensor ended"),
        }
    }
}

fn await_stats(sensor: &SensorHandle, wanted: impl Fn(&Stats) -> bool) -> Stats {
    await_notice(sensor, |notice| match notice {
        Notice::Stats(stats) if wanted(&stats) => Some(*stats),
        _ => None,
    })
}

/// The statistics once nothing moves any more.
fn settled(sensor: &SensorHandle) -> Stats {
    let mut before = None;
    await_notice(sensor, |notice| match notice {
        Notice::Stats(stats) if before == Some(stats.packets) => Some(*stats),
        Notice::Stats(stats) => {
            before = Some(stats.packets);
            None
        }
        _ => None,
    })
}

/// Sends datagrams and takes the echo of each.
fn converse(from: &Machine, to: &'static str, count: u32) {
    from.run(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for number in 0..count {
            socket.send_to(format!("message {number}").as_bytes(), to).unwrap();
            let mut answer = [0; 64];
            socket.recv(&mut answer).unwrap();
        }
    });
}

/// Answers so many datagrams with themselves.
fn echo(on: &Machine, port: u16, count: u32) -> thread::JoinHandle<()> {
    let socket = on.run(move || UdpSocket::bind(("0.0.0.0", port)).unwrap());
    thread::spawn(move || {
        let mut message = [0; 64];
        for _ in 0..count {
            let (length, from) = socket.recv_from(&mut message).unwrap();
            socket.send_to(&message[..length], from).unwrap();
        }
    })
}

#[test]
fn a_packet_that_crosses_a_router_counts_once_and_the_routers_own_count_too() {
    in_own_network("a_packet_that_crosses_a_router_counts_once_and_the_routers_own_count_too", || {
        let state = tempfile::tempdir().unwrap();
        let camera = Machine::on("street", "10.1.0.2/24", Some("10.1.0.1"));
        let server = Machine::on("wan", "192.0.2.2/24", Some("192.0.2.1"));
        ip("addr add 10.1.0.1/24 dev street");
        ip("addr add 192.0.2.1/24 dev wan");
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();

        let sensor = start(&["street", "wan"], state.path());
        await_stats(&sensor, |stats| stats.interfaces.iter().all(|lane| lane.state == InterfaceState::Up));
        let echoing = echo(&server, 7000, 300);
        converse(&camera, "192.0.2.2:7000", 200);
        let crossed = settled(&sensor);
        let arp = 16;
        assert!((400..=400 + arp).contains(&crossed.packets), "{crossed:?}");
        assert!((400..=400 + arp).contains(&crossed.duplicates), "{crossed:?}");

        // What the router says itself is seen leaving only.
        let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
        for _ in 0..100 {
            socket.send_to(b"own", "192.0.2.2:7000").unwrap();
            socket.recv(&mut [0; 8]).unwrap();
        }
        echoing.join().unwrap();
        let own = settled(&sensor);
        assert!((200..=200 + arp).contains(&(own.packets - crossed.packets)), "{own:?}");
        assert_eq!((own.dropped, own.restarts), (0, 0));
    });
}

#[test]
fn a_translated_packet_counts_once_as_the_inside_saw_it() {
    in_own_network("a_translated_packet_counts_once_as_the_inside_saw_it", || {
        let state = tempfile::tempdir().unwrap();
        let camera = Machine::on("street", "10.1.0.2/24", Some("10.1.0.1"));
        let server = Machine::on("wan", "192.0.2.2/24", None);
        ip("addr add 10.1.0.1/24 dev street");
        ip("addr add 192.0.2.1/24 dev wan");
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let rules = "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; \
            add rule ip nat out oifname wan masquerade";
        if !Command::new("nft").arg(rules).status().is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: this kernel does not translate addresses for us");
            return;
        }
        let sensor = start(&["street", "wan"], state.path());
        await_stats(&sensor, |stats| stats.interfaces.iter().all(|lane| lane.state == InterfaceState::Up));
        let echoing = echo(&server, 7000, 100);
        converse(&camera, "192.0.2.2:7000", 100);
        echoing.join().unwrap();
        let stats = settled(&sensor);
        assert!((200..=216).contains(&stats.packets), "{stats:?}");
        assert!((200..=216).contains(&stats.duplicates), "{stats:?}");
    });
}

#[test]
fn a_packet_between_neighbours_on_a_bridge_counts_once() {
    in_own_network("a_packet_between_neighbours_on_a_bridge_counts_once", || {
        let state = tempfile::tempdir().unwrap();
        ip("link add br0 type bridge");
        ip("link set br0 up");
        let left = Machine::on("port1", "10.1.0.2/24", None);
        let right = Machine::on("port2", "10.1.0.3/24", None);
        ip("link set port1 master br0");
        ip("link set port2 master br0");

        let sensor = start(&["br0", "port1", "port2"], state.path());
        await_stats(&sensor, |stats| stats.interfaces.iter().all(|lane| lane.state == InterfaceState::Up));
        let echoing = echo(&right, 7000, 100);
        converse(&left, "10.1.0.3:7000", 100);
        echoing.join().unwrap();
        let stats = settled(&sensor);
        assert!((200..=230).contains(&stats.packets), "{stats:?}");
        assert!(stats.duplicates >= 400, "{stats:?}");
        drop(sensor);

        // The bridge alone shows its neighbours too.
        let sensor = start(&["br0"], state.path());
        await_stats(&sensor, |stats| stats.interfaces.iter().all(|lane| lane.state == InterfaceState::Up));
        let echoing = echo(&right, 7001, 100);
        converse(&left, "10.1.0.3:7001", 100);
        echoing.join().unwrap();
        let stats = settled(&sensor);
        assert!((200..=230).contains(&stats.packets), "{stats:?}");
    });
}

#[test]
fn once_it_runs_it_holds_no_privilege_but_that_of_the_firewall() {
    in_own_network("once_it_runs_it_holds_no_privilege_but_that_of_the_firewall", || {
        let state = tempfile::tempdir().unwrap();
        ip("link add near type veth peer name far");
        let sensor = start(&["near"], state.path());
        await_stats(&sensor, |_| true);
        // Other tests run their own sensors beside this one.
        let mut looked_at = 0;
        for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
            let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.trim().to_owned()
            };
            let expected = match field("Name:").as_str() {
                "sensor-watch" => 0,
                "sensor-respond" => 1 << 12,
                _ => continue,
            };
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                let held = u64::from_str_radix(&field(set), 16).unwrap();
                assert_eq!(held & !expected, 0, "{status}");
            }
            assert_eq!(field("NoNewPrivs:"), "1");
            looked_at += 1;
        }
        assert!(looked_at >= 2);
        // An interface that comes back is watched again all the same.
        ip("link del near");
        await_stats(&sensor, |stats| stats.interfaces[0].state == InterfaceState::Missing);
        ip("link add near type veth peer name far");
        ip("link set near up");
        await_stats(&sensor, |stats| stats.interfaces[0].state == InterfaceState::Up);
    });
}

#[test]
fn the_lever_is_pulled_by_an_order_and_goes_into_the_journal() {
    let state = tempfile::tempdir().unwrap();
    let log = state.path().join("eve.json");
    fs::write(&log, "").unwrap();
    let sensor = sensor::spawn(SensorConfig {
        follow: vec![log],
        state_dir: state.path().join("sensor"),
        ..SensorConfig::default()
    })
    .unwrap();
    sensor.orders.send(Order::StopResponding { who: "somebody".to_owned() }).unwrap();
    let entry = await_notice(&sensor, |notice| match notice {
        Notice::Journal(entry) if entry.who == "somebody" => Some(entry),
        _ => None,
    });
    assert!(state.path().join("sensor/stopped").exists(), "{entry:?}");
    drop(sensor.guard);
}

#[test]
fn an_interface_may_come_late_go_and_come_back() {
    in_own_network("an_interface_may_come_late_go_and_come_back", || {
        let state = tempfile::tempdir().unwrap();
        let sensor = start(&["street"], state.path());
        let await_state = |state| await_stats(&sensor, move |stats| stats.interfaces[0].state == state);
        await_state(InterfaceState::Missing);
        for round in 1..=2 {
            let camera = Machine::on("street", "10.1.0.2/24", None);
            ip("addr add 10.1.0.1/24 dev street");
            await_state(InterfaceState::Up);
            let before = settled(&sensor).packets;
            camera.run(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"here", "10.1.0.1:9").unwrap());
            await_stats(&sensor, |stats| stats.packets > before);
            ip("link set street down");
            await_state(InterfaceState::Down);
            ip("link set street up");
            await_state(InterfaceState::Up);
            ip("link del street");
            let gone = await_state(InterfaceState::Missing);
            assert_eq!(gone.restarts, 0, "round {round}");
        }
    });
}

#[test]
fn a_scan_becomes_an_incident_while_it_goes_on() {
    in_own_network("a_scan_becomes_an_incident_while_it_goes_on", || {
        let state = tempfile::tempdir().unwrap();
        let camera = Machine::on("street", "10.1.0.2/24", Some("10.1.0.1"));
        let outside = Machine::on("wan", "192.0.2.2/24", Some("192.0.2.1"));
        ip("addr add 10.1.0.1/24 dev street");
        ip("addr add 192.0.2.1/24 dev wan");
        ip("route add 198.51.100.0/24 via 192.0.2.2");
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        // Everything in there answers that nobody listens.
        outside.run(|| ip("route add local 198.51.100.0/24 dev lo"));

        let sensor = start(&["street", "wan"], state.path());
        await_stats(&sensor, |stats| stats.interfaces.iter().all(|lane| lane.state == InterfaceState::Up));
        camera.run(|| {
            for last in 1..=250_u8 {
                let target = std::net::SocketAddr::from(([198, 51, 100, last], 23));
                let _refused = TcpStream::connect_timeout(&target, Duration::from_secs(1));
            }
        });
        let incident = await_notice(&sensor, |notice| match notice {
            Notice::Incident(incident) => Some(incident),
            _ => None,
        });
        let camera = incident.assets.iter().find(|asset| asset.address.to_string() == "10.1.0.2");
        assert!(camera.is_some_and(|camera| camera.home), "{incident:?}");
        assert!(incident.evidence.iter().all(|evidence| evidence.file == "street"), "{incident:?}");
        let text = serde_json::to_string(&Notice::Incident(incident)).unwrap();
        assert!(text.starts_with(r#"{"notice":"incident","data":{"id":"inc-"#), "{text}");
    });
}

#[test]
fn a_followed_log_gives_incidents_without_any_interface() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("eve.json");
    fs::write(&path, "").unwrap();
    let sensor = sensor::spawn(SensorConfig {
        follow: vec![path.clone()],
        state_dir: state.path().join("sensor"),
        ..SensorConfig::default()
    })
    .unwrap();
    await_stats(&sensor, |stats| stats.follows[0].problem.is_none());
    let mut log = fs::OpenOptions::new().append(true).open(&path).unwrap();
    for minute in 0..30 {
        for second in (0..60).step_by(2) {
            writeln!(
                log,
                r#"{{"timestamp":"2024-01-31T12:{minute:02}:{second:02}.000000+0000","event_type":"alert","src_ip":"192.0.2.1","src_port":4{minute:02}{second:02},"dest_ip":"10.0.0.2","dest_port":22,"proto":"TCP","alert":{{"action":"allowed","gid":1,"signature_id":2001219,"rev":1,"signature":"ET SCAN Potential SSH Scan","category":"Attempted Information Leak","severity":2}}}}"#
            )
            .unwrap();
        }
    }
    let incident = await_notice(&sensor, |notice| match notice {
        Notice::Incident(incident) => Some(incident),
        _ => None,
    });
    assert!(incident.first.to_string().starts_with("2024-01-31T12:"), "the log's own time: {incident:?}");
    let stats = await_stats(&sensor, |stats| stats.lines == 900);
    assert_eq!(stats.bad_lines, 0);
    drop(sensor.guard);
    assert!(fs::read_to_string(state.path().join("sensor/follow.json")).unwrap().contains("eve.json"));
}

#[test]
fn what_cannot_be_watched_is_refused_before_anything_runs() {
    let state = tempfile::tempdir().unwrap();
    let check = |interfaces: &[&str], expected: &str| {
        let config = SensorConfig {
            interfaces: interfaces.iter().map(|&interface| interface.to_owned()).collect(),
            state_dir: state.path().join("sensor"),
            ..SensorConfig::default()
        };
        let error: SensorError = sensor::spawn(config).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(&[], "nothing to watch");
    check(&["eth/0"], "expected the name of an interface");
    check(&["eth0", "eth0"], "eth0 is named twice");
}
