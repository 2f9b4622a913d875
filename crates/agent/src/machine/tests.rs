//! Devices made of files: what is read of each, and what is said of what cannot be.

use super::*;
use std::{fs, os::unix::fs::symlink};

struct Device {
    dir: tempfile::TempDir,
}

impl Device {
    fn new(files: &[(&str, &str)]) -> Self {
        let device = Self { dir: tempfile::tempdir().unwrap() };
        files.iter().for_each(|(path, text)| device.write(path, text));
        device
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn look(&self) -> (Posture, Option<Sbom>) {
        let found = Machine::new(self.dir.path()).look("0.1.0", Collect::default(), &mut Guesses::default());
        found.0.check().unwrap();
        if let Some(sbom) = &found.1 {
            sbom.check().unwrap();
        }
        found
    }
}

const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
const ALPINE: &str = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.1\n";
const OPENWRT: &str = "NAME=\"OpenWrt\"\nVERSION_ID='23.05.2'\nID=\"openwrt\"\n";

#[test]
fn each_database_is_listed_with_what_advisories_speak_of() {
    let check = |os: &str, path: &str, text: &str, expected: &[&str]| {
        let (_, sbom) = Device::new(&[("etc/os-release", os), (path, text)]).look();
        let sbom = sbom.unwrap();
        let purls: Vec<&str> = sbom.components.iter().filter_map(|one| one.purl.as_deref()).collect();
        assert_eq!(purls, expected, "{path}");
        assert_eq!(sbom.compositions[0].aggregate, wire::Aggregate::Complete);
    };
    let dpkg = "Package: libssl3\nStatus: install ok installed\nArchitecture: arm64\nSource: openssl (3.0.11-1)\n\
                Version: 3.0.11-1~deb12u2\nDescription: text\n Package: not this\n\nPackage: gone\n\
                Status: deinstall ok config-files\nVersion: 1\n\nPackage: G++\nStatus: hold ok installed\n\
                Architecture: arm64\nVersion: 4:12.2.0-3+b1\n\nPackage: broken\n\nrubbish\n\nVersion: 1\n";
    check(
        DEBIAN,
        "var/lib/dpkg/status",
        dpkg,
        &[
            "pkg:deb/debian/g%2B%2B@4:12.2.0-3%2Bb1?arch=arm64&distro=debian-12",
            "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=arm64&distro=debian-12&upstream=openssl%403.0.11-1",
        ],
    );
    let apk = "C:Q1abc=\nP:busybox\nV:1.36.1-r15\nA:aarch64\no:busybox\nF:bin\nR:busybox\n\n\
               P:ssl_client\nV:1.36.1-r15\nA:aarch64\no:busybox\n";
    let alpine = [
        "pkg:apk/alpine/busybox@1.36.1-r15?arch=aarch64&distro=alpine-3.19.1",
        "pkg:apk/alpine/ssl_client@1.36.1-r15?arch=aarch64&distro=alpine-3.19.1&upstream=busybox",
    ];
    check(ALPINE, "lib/apk/db/installed", apk, &alpine);
    check(ALPINE, "usr/lib/apk/db/installed", apk, &alpine);
    let opkg = "Package: dropbear\nVersion: 2022.82-6\nDepends: libc\nStatus: install user installed\n\
                Architecture: mipsel_24kc\nInstalled-Time: 1\n";
    let openwrt = ["pkg:generic/dropbear@2022.82-6?arch=mipsel_24kc&distro=openwrt-23.05.2"];
    check(OPENWRT, "usr/lib/opkg/status", opkg, &openwrt);
    check(OPENWRT, "var/lib/opkg/status", opkg, &openwrt);
}

#[test]
fn one_database_by_two_names_is_one() {
    let device = Device::new(&[("etc/os-release", ALPINE), ("usr/lib/apk/db/installed", "P:musl\nV:1\n")]);
    symlink("usr/lib", device.dir.path().join("lib")).unwrap();
    let (posture, sbom) = device.look();
    assert_eq!(sbom.unwrap().components.len(), 1);
    assert!(!posture.unread.iter().any(|unread| unread.source.contains("apk")), "{:?}", posture.unread);
}

#[test]
fn databases_without_end_are_cut_and_said_to_be() {
    let many: String = (0..wire::limit::COMPONENTS + 10).map(|n| format!("P:p{n}\nV:1\n\n")).collect();
    let long = format!("P:{}\nV:1\n\nP:ok\nV:{}\n\n", "x".repeat(1_000_000), "1".repeat(100));
    let device = Device::new(&[("lib/apk/db/installed", &long)]);
    let (_, sbom) = device.look();
    let sbom = sbom.unwrap();
    assert_eq!(sbom.components.len(), 1, "a name without end is none");
    assert_eq!(sbom.compositions[0].aggregate, wire::Aggregate::Incomplete);
    device.write("lib/apk/db/installed", &many);
    let (posture, sbom) = device.look();
    let sbom = sbom.unwrap();
    assert_eq!(sbom.components.len(), wire::limit::COMPONENTS);
    assert_eq!(sbom.compositions[0].aggregate, wire::Aggregate::Incomplete);
    assert!(posture.unread.iter().any(|unread| unread.reason.contains("more than 4096")), "{posture:?}");
}

/// A line of `/proc/net/tcp`, as a kernel on this machine writes it.
fn line(address: &str, state: &str, inode: u32) -> String {
    format!(
        "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0000\n"
    )
}

fn hex(address: &str) -> String {
    let words = |octets: &[u8]| -> String {
        octets.chunks(4).map(|four| format!("{:08X}", u32::from_ne_bytes(four.try_into().unwrap()))).collect()
    };
    match address.parse::<std::net::IpAddr>().unwrap() {
        std::net::IpAddr::V4(address) => words(&address.octets()),
        std::net::IpAddr::V6(address) => words(&address.octets()),
    }
}

#[test]
fn what_waits_on_a_port_is_named() {
    let head = "  sl  local_address rem_address   st tx_queue\n";
    let any = hex("0.0.0.0");
    let tcp = [
        head.to_owned(),
        line(&format!("{any}:0016"), "0A", 101),
        line(&format!("{}:0017", hex("127.0.0.1")), "0A", 102),
        line(&format!("{}:0017", hex("10.1.2.3")), "0A", 103),
        line(&format!("{any}:1F90"), "01", 104),
        "rubbish\n".into(),
        line("XYZ:0016", "0A", 105),
    ];
    let tcp6 = [head.to_owned(), line(&format!("{}:2710", hex("fd00::1")), "0A", 106)];
    let udp = [
        head.to_owned(),
        line(&format!("{any}:0035"), "07", 107),
        line(&format!("{any}:C000"), "07", 108),
        line(&format!("{any}:0043"), "01", 109),
    ];
    let device = Device::new(&[
        ("proc/net/tcp", &tcp.concat()),
        ("proc/net/tcp6", &tcp6.concat()),
        ("proc/net/udp", &udp.concat()),
        ("proc/7/comm", "sshd\n"),
        ("proc/8/comm", "sshd-child\n"),
        ("proc/9/comm", "utelnetd\n"),
        ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ]);
    for (process, descriptor, inode) in [(8, 3, 101), (7, 3, 101), (7, 4, 103), (9, 5, 106)] {
        let folder = device.dir.path().join(format!("proc/{process}/fd"));
        fs::create_dir_all(&folder).unwrap();
        symlink(format!("socket:[{inode}]"), folder.join(descriptor.to_string())).unwrap();
        let _ = symlink("/dev/null", folder.join("0"));
    }
    let (posture, _) = device.look();
    let listening = posture.listening.unwrap();
    let found: Vec<String> = listening
        .iter()
        .map(|one| {
            let process = one.process.as_deref().unwrap_or("?");
            format!("{:?} {} {} {process}", one.transport, one.address, one.port)
        })
        .collect();
    assert_eq!(
        found,
        [
            "Tcp 0.0.0.0 22 sshd",
            "Tcp 10.1.2.3 23 sshd",
            "Tcp 127.0.0.1 23 ?",
            "Tcp fd00::1 10000 utelnetd",
            "Udp 0.0.0.0 53 ?",
        ]
    );
    assert_eq!(
        posture.telnet.unwrap(),
        [23, 10_000],
        "by its port, and by its name; not what only the device reaches"
    );
    assert!(posture.unread.iter().any(|unread| unread.source == "/proc/*/fd"), "{:?}", posture.unread);
}

fn hash(form: &str, password: &str) -> String {
    let output = std::process::Command::new("openssl")
        .args(["passwd", form, password])
        .output()
        .expect("openssl is installed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_account_that_anybody_could_use_is_named_and_nothing_else_of_it() {
    let (md5, sha) = (hash("-1", "vizxv"), hash("-6", "admin"));
    let (own, slow) = (hash("-6", "a password of its own"), "$y$j9T$abc$def");
    let shadow = format!(
        "root:{md5}:19000:0:99999:7:::\nadmin:{sha}:19000::::::\nguest::19000::::::\nada:{own}:19000::::::\n\
         daemon:*:19000::::::\nlocked:!{md5}:19000::::::\nsupport:{slow}:19000::::::\nnobodys:{md5}:1::::::\n"
    );
    let passwd = "root:x:0:0:root:/root:/bin/sh\nadmin:x:1:1::/:/bin/sh\nguest:x:2:2::/:/bin/sh\nada:x:3:3::/:/bin/sh\n\
                  daemon:x:4:4::/:/bin/false\nlocked:x:5:5::/:/bin/sh\nsupport:x:6:6::/:/bin/sh\nold::7:7::/:/bin/sh\n\
                  without-shadow:x:8:8::/:/bin/sh\nrubbish\n";
    let device = Device::new(&[("etc/passwd", passwd), ("etc/shadow", &shadow)]);
    let (posture, _) = device.look();
    let accounts = posture.accounts.clone().unwrap();
    let weak: Vec<(&str, &str)> =
        accounts.weak.iter().map(|weak| (weak.name.as_str(), weak.rule.as_str())).collect();
    assert_eq!(
        weak[1..],
        [("guest", "empty password"), ("old", "empty password"), ("root", "mirai-list-02 (Dahua DVR)")]
    );
    assert_eq!(weak[0].0, "admin");
    assert_eq!(accounts.unchecked, 1, "support: a form that is not tried");
    let sent = serde_json::to_string(&posture).unwrap();
    for secret in ["vizxv", "$1$", "$6$", "$y$", &md5[5..13], "ada", "daemon", "/root"] {
        assert!(!sent.contains(secret), "{secret}: {sent}");
    }

    let old = format!("root:{md5}:0:0::/:/bin/sh\n");
    let (posture, _) = Device::new(&[("etc/passwd", &old)]).look();
    assert_eq!(posture.accounts.unwrap().weak.len(), 1, "a hash in passwd itself");
}

#[test]
fn guesses_are_made_again_only_where_something_changed() {
    let passwd = format!("root:{}:0:0::/:/bin/sh\n", hash("-6", "no factory password"));
    let device = Device::new(&[("etc/passwd", &passwd)]);
    let machine = Machine::new(device.dir.path());
    let mut guesses = Guesses::default();
    let mut look = || machine.accounts(&mut guesses, &mut Vec::new()).unwrap().weak.len();
    assert_eq!(look(), 0);
    let before = std::time::Instant::now();
    (0..200).for_each(|_| assert_eq!(look(), 0));
    let without = before.elapsed();
    device.write("etc/passwd", "root::0:0::/:/bin/sh\n");
    assert_eq!(look(), 1);
    assert!(without.as_secs() < 30, "two hundred looks that guess would take minutes");
}

#[test]
fn what_cannot_be_read_is_said() {
    let (posture, sbom) = Device::new(&[]).look();
    assert!(
        sbom.is_none()
            && posture.listening.is_none()
            && posture.telnet.is_none()
            && posture.accounts.is_none()
    );
    let sources: Vec<&str> = posture.unread.iter().map(|unread| unread.source.as_str()).collect();
    assert_eq!(sources, ["/etc/passwd", "/proc/net/tcp", "/proc/net/udp", "packages"]);
    assert_eq!((posture.os.id.as_str(), posture.os.kernel.as_str()), ("linux", "unknown"));

    let (posture, _) = Device::new(&[("etc/passwd", "root:x:0:0::/:/bin/sh\n")]).look();
    assert!(posture.accounts.is_none());
    assert!(posture.unread.iter().any(|unread| unread.source == "/etc/shadow"));
}

#[test]
fn a_system_says_what_it_is_and_since_when() {
    let device = Device::new(&[
        ("usr/lib/os-release", DEBIAN),
        ("proc/sys/kernel/osrelease", "6.1.0-18-arm64\n"),
        ("proc/sys/kernel/random/boot_id", "3a63e52f-954d-4bc2-bbec-37ff090d0154\n"),
        ("proc/sys/kernel/hostname", "camera-7\n"),
        ("proc/stat", "cpu 1 2 3\nbtime 1763800000\n"),
    ]);
    let (posture, _) = device.look();
    assert_eq!(posture.os.version.as_deref(), Some("12"));
    assert_eq!(posture.os.kernel, "6.1.0-18-arm64");
    assert_eq!(posture.boot.as_deref(), Some("3a63e52f-954d-4bc2-bbec-37ff090d0154"));
    assert_eq!(posture.started, Some(model::Timestamp::from_secs(1_763_800_000)));
    assert_eq!(Machine::new(device.dir.path()).host_name().as_deref(), Some("camera-7"));
    let nasty = format!("ID=\u{1b}[31m{}\nPRETTY_NAME=\"\"\n", "x".repeat(5_000));
    let (posture, _) = Device::new(&[("etc/os-release", &nasty)]).look();
    assert!(posture.os.id.len() <= 128 && posture.os.name.is_none());
}

#[test]
fn this_machine_can_be_looked_at() {
    let (posture, _) =
        Machine::new(Path::new("/")).look("0.1.0", Collect::default(), &mut Guesses::default());
    posture.check().unwrap();
    assert!(posture.boot.is_some() && posture.started.is_some() && posture.listening.is_some());
    let nothing = Collect { packages: false, ports: false, accounts: false };
    let (posture, sbom) = Machine::new(Path::new("/")).look("0.1.0", nothing, &mut Guesses::default());
    assert!(sbom.is_none() && posture.listening.is_none() && posture.accounts.is_none());
    assert!(posture.unread.is_empty());
}

#[test]
fn only_interfaces_that_are_hardware_are_told() {
    let device = Device::new(&[
        ("sys/class/net/eth0/address", "00:40:8c:01:02:03\n"),
        ("sys/class/net/eth0/device/vendor", "0x10ec"),
        ("sys/class/net/wlan0/address", "00:40:8C:01:02:01"),
        ("sys/class/net/wlan0/device/vendor", "0x10ec"),
        ("sys/class/net/lo/address", "00:00:00:00:00:00"),
        ("sys/class/net/docker0/address", "02:42:ac:11:00:02"),
        ("sys/class/net/odd/address", "rubbish"),
        ("sys/class/net/odd/device/vendor", "0x1"),
    ]);
    let told: Vec<String> = device.look().0.hardware.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["00:40:8c:01:02:01", "00:40:8c:01:02:03"]);
}
