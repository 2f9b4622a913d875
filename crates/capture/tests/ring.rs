//! The ring against the real kernel, in network namespaces of the tests' own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::disallowed_methods,
    reason = "tests"
)]

use capture::{Direction, LINK_ETHERNET, LINK_RAW, Options, Ring, State};
use nix::sched::{CloneFlags, unshare};
use std::{
    env, fs,
    io::Write as _,
    mem,
    net::UdpSocket,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Runs a test on a thread in a network namespace of its own; says so where that is not allowed.
fn in_own_network(test: &'static str, body: fn()) {
    let here = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        for which in ["all", "default"] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1").unwrap();
        }
        ip("link set lo up");
        body();
        Some(())
    });
    let as_user = |program: &str, args: &[&str]| {
        Command::new("unshare")
            .args(["-Urn", "--", program])
            .args(args)
            .status()
            .is_ok_and(|status| status.success())
    };
    if here.join().unwrap().is_some() {
    } else if as_user("true", &[]) {
        let program = env::current_exe().unwrap();
        assert!(as_user(program.to_str().unwrap(), &["--exact", test, "--nocapture"]), "{test} as a user");
    } else {
        eprintln!("SKIPPED {test}: no network namespaces to be had here");
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn veth() {
    ip("link add near type veth peer name far");
    ip("link set near up");
    ip("link set far up");
}

/// A socket that sends frames as they are.
struct Sender(OwnedFd, libc::sockaddr_ll);

impl Sender {
    fn on(interface: &str) -> Self {
        let name = std::ffi::CString::new(interface).unwrap();
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
            assert!(fd >= 0);
            let mut to: libc::sockaddr_ll = mem::zeroed();
            to.sll_family = libc::AF_PACKET as u16;
            to.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
            Self(OwnedFd::from_raw_fd(fd), to)
        }
    }

    fn send(&self, frame: &[u8]) {
        let length = mem::size_of::<libc::sockaddr_ll>() as u32;
        let to = (&raw const self.1).cast();
        let sent =
            unsafe { libc::sendto(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, to, length) };
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }
}

/// A frame of an ether type that nobody answers, with a number in it.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0x5e, 0x10, 0, 1, 0x88, 0xb5];
    frame.extend(number.to_be_bytes());
    frame.resize(length.max(18), 0xaa);
    frame
}

/// What comes within a while: direction, length on the wire, bytes.
fn read(ring: &mut Ring, at_least: usize) -> Vec<(Direction, u32, Vec<u8>)> {
    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while seen.len() < at_least && Instant::now() < deadline {
        while let Some(frame) = ring.next_frame() {
            seen.push((frame.direction, frame.wire_length, frame.data.to_vec()));
        }
        capture::wait([&*ring], Duration::from_millis(50)).unwrap();
    }
    seen
}

#[test]
fn frames_are_seen_as_they_were_sent_both_ways() {
    in_own_network("frames_are_seen_as_they_were_sent_both_ways", || {
        veth();
        let mut ring = Ring::open("near", &Options::default()).unwrap();
        assert_eq!((ring.link(), ring.refresh().unwrap()), (LINK_ETHERNET, State::Up));
        Sender::on("far").send(&frame(1, 60));
        Sender::on("near").send(&frame(2, 1514));
        let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
        while ring.peek().is_none() {
            capture::wait([&ring], Duration::from_secs(5)).unwrap();
        }
        assert!((before - ring.peek().unwrap()).abs() < 60_000_000_000, "the kernel's clock is the wall's");
        let seen = read(&mut ring, 2);
        assert_eq!(seen, [(Direction::In, 60, frame(1, 60)), (Direction::Out, 1514, frame(2, 1514))]);
        assert_eq!(ring.counters().packets, 2);
        assert_eq!(ring.counters().bytes, 1574);
    });
}

#[test]
fn a_vlan_tag_that_the_kernel_took_off_is_put_back() {
    in_own_network("a_vlan_tag_that_the_kernel_took_off_is_put_back", || {
        veth();
        let mut ring = Ring::open("near", &Options::default()).unwrap();
        let mut tagged = frame(7, 64);
        tagged.splice(12..12, [0x81, 0x00, 0x20, 0x64]);
        let mut twice = frame(8, 64);
        twice.splice(12..12, [0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x20, 0x64]);
        let sender = Sender::on("far");
        sender.send(&tagged);
        sender.send(&twice);
        let seen = read(&mut ring, 2);
        assert_eq!(seen, [(Direction::In, 68, tagged), (Direction::In, 72, twice)]);
    });
}

#[test]
fn a_hundred_thousand_frames_come_in_order_without_loss() {
    in_own_network("a_hundred_thousand_frames_come_in_order_without_loss", || {
        const COUNT: u32 = 100_000;
        veth();
        let mut ring = Ring::open("near", &Options::default()).unwrap();
        let sender = Sender::on("far");
        let mut next = 0;
        for burst in 0..COUNT / 500 {
            for number in burst * 500..(burst + 1) * 500 {
                sender.send(&frame(number, 90 + number as usize % 1000));
            }
            while let Some(frame) = ring.next_frame() {
                let number = u32::from_be_bytes(frame.data[14..18].try_into().unwrap());
                assert_eq!((number, frame.data.len()), (next, 90 + next as usize % 1000));
                next += 1;
            }
        }
        next += read(&mut ring, (COUNT - next) as usize).len() as u32;
        assert_eq!((next, ring.counters().dropped), (COUNT, 0));
    });
}

#[test]
fn a_reader_that_is_too_slow_loses_frames_and_they_are_counted() {
    in_own_network("a_reader_that_is_too_slow_loses_frames_and_they_are_counted", || {
        const COUNT: u64 = 3000;
        veth();
        let options = Options { ring_bytes: 512 << 10, ..Options::default() };
        let mut ring = Ring::open("near", &options).unwrap();
        let sender = Sender::on("far");
        (0..COUNT).for_each(|number| sender.send(&frame(number as u32, 1000)));
        while ring.next_frame().is_some() {}
        // The kernel closes the last block in its own time.
        while capture::wait([&ring], Duration::from_millis(200)).is_ok() && ring.next_frame().is_some() {}
        let counters = ring.counters();
        assert!(counters.dropped > 0);
        assert_eq!(counters.packets + counters.dropped, COUNT);
        sender.send(&frame(1, 1000));
        assert_eq!(read(&mut ring, 1).len(), 1, "it goes on afterwards");
    });
}

#[test]
fn loopback_shows_each_packet_once() {
    in_own_network("loopback_shows_each_packet_once", || {
        let mut ring = Ring::open("lo", &Options::default()).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..10_u8 {
            socket.send_to(&[number; 32], socket.local_addr().unwrap()).unwrap();
        }
        thread::sleep(Duration::from_millis(100));
        let seen = read(&mut ring, 10);
        assert_eq!(seen.len(), 10);
        assert!(seen.iter().all(|(direction, _, data)| *direction == Direction::In && data.len() == 74));
    });
}

#[test]
fn a_link_without_ethernet_gives_bare_packets() {
    in_own_network("a_link_without_ethernet_gives_bare_packets", || {
        let mut tunnel = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        request.ifr_name[..4].copy_from_slice(&b"tun9".map(|byte| byte as libc::c_char));
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
        assert_eq!(unsafe { libc::ioctl(tunnel.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) }, 0);
        ip("link set tun9 up");
        let mut ring = Ring::open("tun9", &Options::default()).unwrap();
        assert_eq!(ring.link(), LINK_RAW);
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
        packet.extend([0x30, 0x39, 0x30, 0x39, 0, 8, 0, 0]);
        tunnel.write_all(&packet).unwrap();
        assert_eq!(read(&mut ring, 1), [(Direction::In, 28, packet)]);
    });
}

#[test]
fn an_interface_that_goes_and_comes_is_followed_without_privileges() {
    in_own_network("an_interface_that_goes_and_comes_is_followed_without_privileges", || {
        let mut ring = Ring::open("near", &Options::default()).unwrap();
        assert_eq!(ring.refresh().unwrap(), State::Missing);
        let (told, states) = std::sync::mpsc::channel();
        let (step, steps) = std::sync::mpsc::channel::<usize>();
        let reader = thread::spawn(move || {
            capture::limit_thread(&[]).unwrap();
            for expected in steps {
                told.send((ring.refresh().unwrap(), read(&mut ring, expected).len())).unwrap();
            }
        });
        let check = |expected: (State, usize)| {
            step.send(expected.1).unwrap();
            assert_eq!(states.recv().unwrap(), expected);
        };
        for _ in 0..2 {
            veth();
            check((State::Up, 0));
            Sender::on("far").send(&frame(1, 60));
            check((State::Up, 1));
            ip("link set near down");
            check((State::Down, 0));
            ip("link set near up");
            check((State::Up, 0));
            Sender::on("far").send(&frame(1, 60));
            check((State::Up, 1));
            ip("link del near");
            check((State::Missing, 0));
        }
        drop(step);
        reader.join().unwrap();
    });
}

#[test]
fn waiting_on_a_vanished_interface_does_not_spin() {
    in_own_network("waiting_on_a_vanished_interface_does_not_spin", || {
        veth();
        let ring = Ring::open("near", &Options::default()).unwrap();
        ip("link del near");
        let (start, mut rounds) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(300) {
            capture::wait([&ring], Duration::from_millis(100)).unwrap();
            rounds += 1;
        }
        assert!(rounds <= 20, "{rounds} rounds in 300 ms");
    });
}

#[test]
fn what_cannot_be_watched_says_why() {
    let message = |interface: &str, ring_bytes| {
        let options = Options { ring_bytes, ..Options::default() };
        Ring::open(interface, &options).unwrap_err().to_string()
    };
    assert!(message("no/name", 8 << 20).contains("expected the name of an interface"));
    assert!(message("lo", 1).contains("expected 524288 to 1073741824"));
    let refused = thread::spawn(move || {
        capture::limit_thread(&[]).unwrap();
        message("lo", 8 << 20)
    });
    assert!(refused.join().unwrap().contains("CAP_NET_RAW"));
}
