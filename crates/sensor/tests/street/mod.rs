//! A street in a kernel: a router that is also the bridge of its street, three hosts in the street, one outside.
//!
//! Everything lives in user and network namespaces of a process of its own and goes with it.

use std::{
    fs::File,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Runs a test in namespaces of its own; says so where they are not allowed.
pub fn in_namespaces(name: &str, test: fn(&Street)) {
    if std::env::var_os("BASTIDE_TEST_STREET").is_some() {
        test(&Street::raise());
        return;
    }
    let allowed = Command::new("unshare").args(["-Urn", "true"]).output();
    let tools = ["ip", "nft", "nsenter"].iter().all(|tool| found(tool));
    if !tools || !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {name}: needs ip, nft, nsenter and user namespaces (unshare -Urn)");
        return;
    }
    let me = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["-Urn", "--kill-child", "--fork"])
        .arg(me)
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env("BASTIDE_TEST_STREET", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in its namespaces");
}

fn found(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub fn run(command: &str) -> Output {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

pub struct Street {
    pub camera: Host,
    pub neighbour: Host,
    pub resolver: Host,
    pub outside: Host,
}

pub struct Host {
    child: Child,
    pub v4: IpAddr,
    pub v6: IpAddr,
    pub mac: model::Mac,
}

impl Street {
    fn raise() -> Self {
        for line in [
            "ip link set lo up",
            "ip link add br0 type bridge",
            "ip addr add 10.9.0.1/24 dev br0",
            "ip addr add fd09::1/64 dev br0 nodad",
            "ip link set br0 up",
        ] {
            run(line);
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        let camera = Host::raise("cam", 7, true);
        let neighbour = Host::raise("nei", 8, true);
        let resolver = Host::raise("res", 53, true);
        let outside = Host::raise("out", 2, false);
        let street = Self { camera, neighbour, resolver, outside };
        street.settle();
        street
    }

    /// Addresses are resolved and ports forward before anything is measured.
    fn settle(&self) {
        let begun = Instant::now();
        let pairs = [
            (&self.camera, &self.neighbour),
            (&self.camera, &self.outside),
            (&self.neighbour, &self.resolver),
        ];
        for (from, to) in pairs {
            for v6 in [false, true] {
                while passes(from, to, v6, 9, 3) == 0 {
                    assert!(begun.elapsed() < Duration::from_secs(20), "the street does not come up");
                }
            }
        }
    }
}

impl Host {
    fn raise(name: &str, number: u8, in_street: bool) -> Self {
        let child = Command::new("unshare").args(["-n", "--kill-child", "sleep", "600"]).spawn().unwrap();
        let pid = child.id();
        let begun = Instant::now();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|ns| ns == own) {
            assert!(begun.elapsed() < Duration::from_secs(5));
            thread::sleep(Duration::from_millis(2));
        }
        let mac = format!("02:00:5e:10:00:{number:02x}");
        run(&format!("ip link add {name} type veth peer name eth0 address {mac} netns {pid}"));
        let (v4, v6, gate4, gate6) = if in_street {
            run(&format!("ip link set {name} master br0"));
            (format!("10.9.0.{number}"), format!("fd09::{number:x}"), "10.9.0.1", "fd09::1")
        } else {
            run(&format!("ip addr add 198.51.100.1/24 dev {name}"));
            run(&format!("ip addr add 2001:db8::1/64 dev {name} nodad"));
            (format!("198.51.100.{number}"), format!("2001:db8::{number:x}"), "198.51.100.1", "2001:db8::1")
        };
        run(&format!("ip link set {name} up"));
        let inside = |line: &str| run(&format!("nsenter -t {pid} -n {line}"));
        inside("ip link set lo up");
        inside(&format!("ip addr add {v4}/24 dev eth0"));
        inside(&format!("ip addr add {v6}/64 dev eth0 nodad"));
        inside("ip link set eth0 up");
        inside(&format!("ip route add default via {gate4}"));
        inside(&format!("ip -6 route add default via {gate6}"));
        Self { child, v4: v4.parse().unwrap(), v6: v6.parse().unwrap(), mac: mac.parse().unwrap() }
    }

    pub fn address(&self, v6: bool) -> IpAddr {
        if v6 { self.v6 } else { self.v4 }
    }

    /// A process in the host's network.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Does something in the host's network: a socket that is made there can be used from here.
    pub fn inside<T: Send + 'static>(&self, make: impl FnOnce() -> T + Send + 'static) -> T {
        let pid = self.pid();
        thread::spawn(move || {
            let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            make()
        })
        .join()
        .unwrap()
    }

    /// A socket in the host's network; it can be used from here.
    pub fn socket(&self, address: SocketAddr) -> UdpSocket {
        self.inside(move || UdpSocket::bind(address).unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many of `sent` datagrams from one host arrive at a port of another.
pub fn passes(from: &Host, to: &Host, v6: bool, port: u16, sent: usize) -> usize {
    let address = SocketAddr::new(to.address(v6), port);
    arrive(from, &to.socket(address), address, sent)
}

/// How many datagrams arrive at the router itself.
pub fn reach_router(from: &Host, port: u16, sent: usize) -> usize {
    let address = SocketAddr::new("10.9.0.1".parse().unwrap(), port);
    arrive(from, &UdpSocket::bind(address).unwrap(), address, sent)
}

fn arrive(from: &Host, receiver: &UdpSocket, to: SocketAddr, sent: usize) -> usize {
    receiver.set_read_timeout(Some(Duration::from_millis(120))).unwrap();
    let sender = from.socket(SocketAddr::new(from.address(to.is_ipv6()), 0));
    for _ in 0..sent {
        // Unreachable neighbours are told to the sender: that is a packet that did not pass.
        let _ = sender.send_to(b"bastide", to);
    }
    let mut buffer = [0; 64];
    std::iter::from_fn(|| receiver.recv_from(&mut buffer).ok()).count()
}

/// The whole rule set, without what counts.
pub fn rules() -> String {
    String::from_utf8(run("nft --stateless list ruleset").stdout).unwrap()
}
