//! The measures of `bench/README.md`: what `bastide` needs of a machine.
//!
//! Guarantees: the processor's time is that of the program alone (its children's accounting in /proc), the mixes'
//! findings are compared with those of their sources, so that speed is not bought by looking away.

use crate::{
    evaluate::{Document, rank},
    mix::{self, Source},
    scene,
    traffic::{self, Host, Rng, Tape},
    world,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What to measure with.
pub struct Options {
    /// The program.
    pub bastide: PathBuf,
    /// The captures to mix.
    pub data: PathBuf,
    /// Where mixes are written and kept.
    pub dir: PathBuf,
    /// Packets in a mix.
    pub packets: u64,
    /// Only measures whose name contains this.
    pub only: String,
}

/// What a mix is made of.
type Sources = fn(&Options) -> Result<Vec<Source>>;

/// What a program used.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    cpu_seconds: f64,
    seconds: f64,
    peak_kib: u64,
}

/// Runs all measures and prints them.
///
/// # Errors
/// Where a program fails or a file cannot be written.
pub fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.dir)?;
    let chosen = |name: &str| name.contains(&options.only);
    let mixes: [(&str, Sources); 3] =
        [("mix-devices", devices), ("mix-attacks", attacks), ("mix-payloads", payloads)];
    for (name, sources) in mixes.into_iter().filter(|(name, _)| chosen(name)) {
        speed(options, name, &sources(options)?)?;
    }
    if chosen("million-flows") {
        million(options)?;
    }
    if chosen("idle") {
        idle(options)?;
    }
    if chosen("size") {
        let length = fs::metadata(&options.bastide)?.len();
        println!("size of {}: {:.1} MiB", options.bastide.display(), length as f64 / 1_048_576.0);
    }
    Ok(())
}

fn captures(options: &Options, names: &[&str]) -> Result<Vec<Source>> {
    names.iter().map(|name| Source::from_file(&options.data.join(name))).collect()
}

/// Small packets, everyday life: the benign captures.
fn devices(options: &Options) -> Result<Vec<Source>> {
    captures(options, &["blink-cam-01.pcap", "lockly-hub-01.pcap", "sifely-hub-01.pcap"])
}

/// Small packets, attacks among everyday life.
fn attacks(options: &Options) -> Result<Vec<Source>> {
    captures(
        options,
        &[
            "blink-cam-01.pcap",
            "lockly-hub-01.pcap",
            "sifely-hub-01.pcap",
            "malicious-ssh-bruteforce.pcap",
            "amp.dns.RRSIG.fragmented.pcap",
            "pkt.TCP.synflood.spoofed.pcap",
        ],
    )
}

/// Whole payloads: web, video, transfers, MQTT, and an attack.
fn payloads(_: &Options) -> Result<Vec<Source>> {
    [
        "ok-browsing",
        "ok-video",
        "ok-web-visitors",
        "ok-rollout",
        "ok-telemetry-bursts",
        "ok-ftp-drop",
        "guess-http-basic",
        "exploit-http",
    ]
    .iter()
    .map(|name| {
        // A seed whose home network is a private one, since copies live in private networks.
        let private = (1..20)
            .filter_map(|seed| Some(scene::play(scene::find(name).ok()?, seed)))
            .find(|world| !world.truth.tell_home);
        private.map(|world| Source::from_tape(name, &world.tape)).context("no such world")
    })
    .collect()
}

/// Severity and stages of what matters, and how often.
type Told = BTreeMap<(usize, Vec<String>), u64>;

fn told(document: &Document) -> Told {
    let mut out = Told::new();
    for incident in document.that_matter() {
        *out.entry((rank(&incident.severity), incident.stages.clone())).or_default() += 1;
    }
    out
}

fn speed(options: &Options, name: &str, sources: &[Source]) -> Result<()> {
    let path = options.dir.join(format!("{name}-{}.pcap", options.packets));
    let (written, copies) = mix::write(&path, sources, options.packets)?;
    let mut expected = Told::new();
    for source in sources {
        let alone = options.dir.join("alone.pcap");
        mix::write(&alone, std::slice::from_ref(source), 1)?;
        let (document, _) = analyze(options, &alone)?;
        for (what, count) in told(&document) {
            *expected.entry(what).or_default() += count * copies;
        }
        fs::remove_file(&alone)?;
    }
    let bytes = fs::metadata(&path)?.len();
    println!(
        "{name}: {written} packets, {:.0} bytes each, {copies} copies of {} sources",
        bytes as f64 / written as f64,
        sources.len()
    );
    for round in 1..=3 {
        let (document, usage) = analyze(options, &path)?;
        let found = told(&document);
        let same = found == expected;
        println!(
            "  run {round}: {:.3} M packets per CPU-second ({:.2} CPU-s, {:.2} s, peak {} MiB), {} incidents, {}",
            written as f64 / usage.cpu_seconds / 1e6,
            usage.cpu_seconds,
            usage.seconds,
            usage.peak_kib / 1_024,
            document.incidents.len(),
            if same {
                "findings are those of the sources".to_owned()
            } else {
                format!("FINDINGS DIFFER: expected {expected:?}, found {found:?}")
            },
        );
    }
    suricata(options, &path, written)?;
    Ok(())
}

/// Suricata without rules on the same file, where it is installed.
fn suricata(options: &Options, path: &Path, packets: u64) -> Result<()> {
    if Command::new("suricata").arg("-V").output().is_err() {
        println!("  suricata: not installed here, skipped");
        return Ok(());
    }
    let logs = options.dir.join("suricata");
    fs::create_dir_all(&logs)?;
    let mut command = Command::new("suricata");
    command
        .args(["--runmode", "single", "-k", "none", "-S", "/dev/null", "-l"])
        .arg(&logs)
        .arg("-r")
        .arg(path);
    let usage = watch(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)?;
    println!(
        "  suricata without rules: {:.3} M packets per CPU-second, peak {} MiB",
        packets as f64 / usage.cpu_seconds / 1e6,
        usage.peak_kib / 1_024
    );
    fs::remove_dir_all(&logs)?;
    Ok(())
}

fn analyze(options: &Options, path: &Path) -> Result<(Document, Usage)> {
    let out = options.dir.join("analysis.json");
    let mut command = Command::new(&options.bastide);
    command.args(["analyze", "--format", "json"]).arg(path);
    let usage = watch(command.stdout(fs::File::create(&out)?).spawn().context("bastide does not start")?)?;
    let document = serde_json::from_slice(&fs::read(&out)?).context("expected an analysis")?;
    fs::remove_file(&out)?;
    Ok((document, usage))
}

/// A million flows of forged sources alive at once: TCP to one host, then UDP to many.
fn million(options: &Options) -> Result<()> {
    for (name, tcp) in [("million-flows-syn", true), ("million-flows-udp", false)] {
        let mut rng = Rng::new(7, name);
        let mut tape = Tape::default();
        for number in 0..1_000_000_i64 {
            let source = Host { mac: [2, 0, 0, 0, 0, 1], ip: world::public(&mut rng).into(), ttl: 50 };
            let last = if tcp { 9 } else { rng.below(250) as u8 + 1 };
            let victim = Host { mac: [2, 0, 0, 0, 0, last], ip: [10, 0, 0, last].into(), ttl: 64 };
            let at = 1_700_000_000_000_000 + number * 8;
            let ports = (rng.port(1_024, 65_000), if tcp { 443 } else { rng.port(1, 65_000) });
            if tcp {
                tape.tcp(at, &source, &victim, ports, (rng.bits() as u32, 0), traffic::SYN);
            } else {
                tape.udp(at, &source, &victim, ports, b"x");
            }
        }
        let path = options.dir.join(format!("{name}.pcap"));
        traffic::write(&path, &tape, traffic::Form::Pcap, 65_535)?;
        let (document, usage) = analyze(options, &path)?;
        println!(
            "{name}: peak {} MiB for {} flows within 8 s, {} incidents of medium or more, {:.2} CPU-s",
            usage.peak_kib / 1_024,
            document.totals.flows,
            document.that_matter().count(),
            usage.cpu_seconds,
        );
    }
    Ok(())
}

/// `bastide up` with nothing to do, ten seconds after its start.
fn idle(options: &Options) -> Result<()> {
    let dir = options.dir.join("idle");
    fs::create_dir_all(&dir)?;
    let mut up = Command::new(&options.bastide)
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    thread::sleep(Duration::from_secs(10));
    ensure!(up.try_wait()?.is_none(), "bastide up ended by itself");
    println!("bastide up, idle: {} MiB resident", status(up.id(), "VmRSS:") / 1_024);
    up.kill()?;
    up.wait()?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// A line of /proc/PID/status, in KiB.
fn status(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// User and system time of the children that ended, in seconds.
fn children() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    usage.map_or(0.0, |usage| {
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}

/// Waits for a program; its peak is looked up often enough that little is missed.
fn watch(mut child: Child) -> Result<Usage> {
    let (before, began) = (children(), Instant::now());
    let mut peak = 0;
    let ended = loop {
        peak = peak.max(status(child.id(), "VmHWM:"));
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        thread::sleep(Duration::from_millis(5));
    };
    ensure!(ended.success(), "ended with {ended}");
    Ok(Usage { cpu_seconds: children() - before, seconds: began.elapsed().as_secs_f64(), peak_kib: peak })
}
