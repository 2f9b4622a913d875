//! What a typed command is, as far as botnet loaders go: the name of a rule, never the command.

use std::net::IpAddr;

const FETCHERS: [&str; 8] = ["wget", "curl", "tftp", "ftpget", "ftp", "lwp-download", "axel", "aria2c"];
const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "perl", "python"];
/// Escaped bytes in an echo or printf from which on it writes a program rather than a colour.
const PROGRAM_BYTES: usize = 8;
const LONGEST: usize = 16 * 1024;

/// The rule that a command line matches; `None` where it is not what loaders type.
#[must_use]
pub fn classify(command: &str) -> Option<&'static str> {
    let command = command.get(..LONGEST).unwrap_or(command);
    let words: Vec<&str> = command
        .split(|letter: char| {
            letter.is_whitespace() || matches!(letter, ';' | '|' | '&' | '`' | '(' | ')' | '<' | '"' | '\'')
        })
        .filter(|word| !word.is_empty())
        .take(2048)
        .collect();
    let names = || words.iter().map(|word| word.rsplit('/').next().unwrap_or(word));
    let has = |name: &str| names().any(|word| word == name);
    let escapes = command.matches("\\x").count().max(command.matches("\\\\x").count());
    let fetches = names().any(|word| FETCHERS.contains(&word));
    let remote = command.contains("://") || words.iter().any(|word| word.parse::<IpAddr>().is_ok());
    let runs = has("chmod") || words.iter().any(|word| word.starts_with("./")) || piped_into_shell(command);

    if (has("echo") || has("printf")) && escapes >= PROGRAM_BYTES {
        Some("writes program bytes with echo")
    } else if fetches && runs && remote {
        Some("fetches and runs a program")
    } else if fetches && remote {
        Some("fetches a file")
    } else if has("base64") && piped_into_shell(command) {
        Some("decodes and runs a script")
    } else if busybox_token(&words) {
        Some("asks busybox for an applet that does not exist")
    } else if reads_itself(command, &words) {
        Some("reads a program to learn the machine's architecture")
    } else if has("busybox") && (fetches || has("chmod") || has("cp")) {
        Some("prepares a drop file with busybox")
    } else if probes_directory(command) {
        Some("looks for a writable directory")
    } else if has("chmod") && words.iter().any(|word| word.starts_with("./")) {
        Some("makes a file executable and runs it")
    } else if has("scp") && words.contains(&"-t") {
        Some("receives a file over scp")
    } else {
        None
    }
}

/// `... | sh`, `$(...)` fed to a shell.
fn piped_into_shell(command: &str) -> bool {
    command.split('|').skip(1).any(|part| {
        let word = part.split_whitespace().next().unwrap_or_default();
        SHELLS.contains(&word.rsplit('/').next().unwrap_or(word))
    })
}

/// `busybox WORD` with a word in capitals: loaders look for "applet not found" to know that they have a shell.
fn busybox_token(words: &[&str]) -> bool {
    words.iter().zip(words.iter().skip(1)).any(|(first, second)| {
        first.rsplit('/').next() == Some("busybox")
            && second.len() >= 3
            && second.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
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
    cats || reader && header && words.iter().any(|word| program(word))
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
