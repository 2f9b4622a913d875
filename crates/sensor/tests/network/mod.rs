//! Small networks of namespaces that a test makes for itself.

use nix::sched::{CloneFlags, setns, unshare};
use std::{
    env, fs,
    fs::File,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Runs a test on a thread in a network namespace of its own; says so where that is not allowed.
pub fn in_own_network(test: &'static str, body: fn()) {
    let here = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        quiet();
        body();
        Some(())
    });
    let as_user = |program: &str, args: &[&str]| {
        let status = Command::new("unshare").args(["-Urn", "--", program]).args(args).status();
        status.is_ok_and(|status| status.success())
    };
    if here.join().unwrap().is_some() {
    } else if as_user("true", &[]) {
        let program = env::current_exe().unwrap();
        assert!(as_user(program.to_str().unwrap(), &["--exact", test, "--nocapture"]), "{test} as a user");
    } else {
        eprintln!("SKIPPED {test}: no network namespaces to be had here");
    }
}

/// No IPv6 neighbours talk where a test counts packets.
fn quiet() {
    for which in ["all", "default"] {
        fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1").unwrap();
    }
    ip("link set lo up");
}

pub fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Another machine: a namespace that lives as long as this value.
pub struct Machine {
    holder: Child,
}

impl Machine {
    /// Connected by a cable whose end here is called `port`, with an address and a default route.
    pub fn on(port: &str, address: &str, gateway: Option<&str>) -> Self {
        let mut sleep = Command::new("unshare");
        let holder = sleep.args(["-n", "--", "sleep", "600"]).stdout(Stdio::null()).spawn().unwrap();
        let ours = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let theirs = format!("/proc/{}/ns/net", holder.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::read_link(&theirs).is_ok_and(|theirs| theirs == ours) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let machine = Self { holder };
        ip(&format!("link add {port} type veth peer name eth0 netns {}", machine.holder.id()));
        ip(&format!("link set {port} up"));
        let (address, gateway) = (address.to_owned(), gateway.map(str::to_owned));
        machine.run(move || {
            quiet();
            ip(&format!("addr add {address} dev eth0"));
            ip("link set eth0 up");
            if let Some(gateway) = gateway {
                ip(&format!("route add default via {gateway}"));
            }
        });
        machine
    }

    /// Does something on that machine.
    pub fn run<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let there = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            body()
        });
        there.join().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone = self.holder.kill();
        let _gone = self.holder.wait();
    }
}
