//! How fast observations are merged, and in how much memory: `cargo run --release -p identify --example observations`
//! (an argument gives another number than 100 000). Seconds are those of the CPU, so that neighbours are not measured.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a program that prints, asks for its argument, and ends where it fails"
)]

use identify::merge::{Known, Observation, Said, merge};
use model::{Identifier, Mac, Timestamp};
use std::net::IpAddr;

fn main() {
    let count: u32 = std::env::args().nth(1).map_or(100_000, |count| count.parse().unwrap());
    // A city of a tenth as many devices: each is seen at several sensors, by several sources, and under new addresses.
    let devices = (count / 10).max(1);
    let observations: Vec<Observation> = (0..count).map(|number| observation(number, devices)).collect();
    let (before, cpu) = (resident("VmRSS"), cpu_seconds());
    let merged = merge(&observations, &Said::default());
    let cpu = cpu_seconds() - cpu;
    println!(
        "{count} observations of {devices} devices: {} devices, {} identifiers contested; {cpu:.2} CPU-seconds, peak {} MiB, {} MiB of it what was given",
        merged.devices.len(),
        merged.contested.len(),
        resident("VmHWM") / 1024,
        before / 1024,
    );
}

fn observation(number: u32, devices: u32) -> Observation {
    let (device, source) = (number % devices, number / devices);
    let [_, a, b, c] = device.to_be_bytes();
    // Under made-up addresses it is seen later.
    let at = i64::from(source) * 1_000 + if matches!(source, 4 | 5 | 7) { 10_000 } else { 0 };
    let span = Some((Timestamp::from_secs(at), Timestamp::from_secs(at + 900)));
    let address = IpAddr::from([10, a, b, c]);
    let mac = Mac([0x00, 0x40, 0x8c, a, b, c]);
    let made_up = Mac([0x02, source as u8, 0x11, a, b, c]);
    let known: Vec<Identifier> = match source {
        0 => vec![Identifier::Serial(format!("S{device}")), Identifier::Mac(mac)],
        1 => vec![Identifier::Key(format!("{device:064x}")), Identifier::Serial(format!("S{device}"))],
        2 | 3 => vec![
            Identifier::Mac(mac),
            Identifier::Name(format!("device-{device}")),
            Identifier::Address(address),
        ],
        4 | 5 => vec![Identifier::Mac(made_up), Identifier::DhcpClient(format!("ff{device:08x}"))],
        6 => vec![Identifier::Mac(mac), Identifier::DhcpClient(format!("ff{device:08x}"))],
        7 => vec![Identifier::Mac(made_up), Identifier::Name(format!("device-{device}"))],
        _ => vec![Identifier::Address(address), Identifier::Name(format!("device-{device}"))],
    };
    let known = known.into_iter().map(|by| Known { by, during: span }).collect();
    Observation { site: "city".into(), known }
}

/// Kilobytes by the kernel's account.
fn resident(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}
