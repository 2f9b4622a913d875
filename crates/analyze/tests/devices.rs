//! What stands behind traffic is told from the traffic, with reasons that a person understands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stdout, reason = "a skipped test says so, and a table of what was found can be read")]

use analyze::{Options, analyze};
use model::NetSet;
use report::Device;
use std::path::Path;

/// The devices that a recording shows; `None`, and said so, where it is missing.
fn devices(name: &str, home: &str) -> Option<Vec<Device>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        println!("skipped: {} is missing", path.display());
        return None;
    }
    let options = Options {
        files: vec![path.to_str().unwrap().to_owned()],
        home: NetSet::new(home.split(',').map(|net| net.parse().unwrap()).collect()),
        ..Options::default()
    };
    Some(analyze(&options, &mut |_| {}).unwrap().document.devices)
}

fn print(name: &str, devices: &[Device]) {
    println!("{name}: {} devices", devices.len());
    for device in devices.iter().take(12) {
        let address = device.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        println!(
            "  {:<18} {:<16} {:>2} % {:<10} {} [{address}] {}",
            device.id,
            device.kind,
            device.confidence,
            device.criticality,
            device.vendor.as_deref().unwrap_or("-"),
            device.name.as_deref().unwrap_or("-")
        );
        for reason in device.reasons.iter().chain(&device.joined).chain(&device.functions) {
            println!("      {reason}");
        }
    }
}

#[test]
fn cameras_and_lock_hubs_are_named_as_what_they_are() {
    for (name, kind) in [
        ("blink-cam-01.pcap", "camera"),
        ("lockly-hub-01.pcap", "lock-hub"),
        ("sifely-hub-01.pcap", "lock-hub"),
    ] {
        let Some(devices) = devices(name, "10.0.0.0/8,192.168.0.0/16") else { continue };
        print(name, &devices);
        let found: Vec<&Device> = devices.iter().filter(|device| device.kind == kind).collect();
        assert_eq!(found.len(), 1, "{name}: one {kind}");
        assert!(found[0].confidence >= 60 && !found[0].reasons.is_empty(), "{name}: {:?}", found[0]);
    }
}

#[test]
fn what_is_listed_is_called_so_and_what_is_not_is_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sifely-hub-01.pcap");
    if !path.exists() {
        println!("skipped: {} is missing", path.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let inventory = dir.path().join("list.csv");
    let analysed = |list: &str, watched: &str| {
        std::fs::write(&inventory, list).unwrap();
        let options = Options {
            files: vec![path.to_str().unwrap().to_owned()],
            home: NetSet::private(),
            inventory: Some(inventory.clone()),
            watched: NetSet::new(watched.split(',').filter_map(|net| net.parse().ok()).collect()),
            ..Options::default()
        };
        analyze(&options, &mut |_| {}).map(|analysis| analysis.document)
    };
    let both = "name;kind;mac;protected\nTor Rathaus;lock-hub;f4:cf:a2:eb:59:c4;ja\nUplink;gateway-router;00:1c:7f:53:d0:28;\n";
    let document = analysed(both, "192.168.1.0/24").unwrap();
    assert!(document.incidents.is_empty(), "{:?}", document.incidents);
    let hub = document.devices.iter().find(|device| device.kind == "lock-hub").unwrap();
    assert_eq!(
        (hub.name.as_deref(), hub.criticality.as_str(), hub.confidence),
        (Some("Tor Rathaus"), "protected", 100)
    );
    assert_eq!(hub.joined.last().map(String::as_str), Some("line 2 of the inventory lists it"));
    let without = "name;mac\nUplink;00:1c:7f:53:d0:28\n";
    let document = analysed(without, "192.168.1.0/24").unwrap();
    let titles: Vec<&str> = document.incidents.iter().map(|incident| incident.title.as_str()).collect();
    assert_eq!(titles, ["192.168.1.127 is on a watched network and on no list"]);
    assert!(analysed(without, "10.0.0.0/8").unwrap().incidents.is_empty());
    let refused = analysed("name;mac\nUplink;00:1c\n", "").unwrap_err().to_string();
    assert!(refused.contains("line 2, column mac: expected a hardware address"), "{refused}");
}

#[test]
fn nothing_is_named_on_no_grounds() {
    let private = "10.0.0.0/8,192.168.0.0/16";
    for (name, home) in [
        ("iot23-34-1-mirai.conn.log.labeled", private),
        ("pkt.TCP.synflood.spoofed.pcap", private),
        ("amp.dns.RRSIG.fragmented.pcap", private),
        ("malicious-ssh-bruteforce.pcap", "147.32.0.0/16"),
        ("sv-telnet.pcap", private),
        ("cowrie.json.2019-12-03.gz", private),
        ("eve.json.8.gz", private),
        ("slips-test6-malicious.suricata.json.gz", private),
    ] {
        let Some(devices) = devices(name, home) else { continue };
        print(name, &devices);
        for device in devices.iter().filter(|device| device.kind != "unknown") {
            assert!(!device.reasons.is_empty(), "{name}: {device:?}");
        }
    }
}
