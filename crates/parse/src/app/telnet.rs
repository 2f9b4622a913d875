//! Telnet (RFC 854): the text without its option negotiation.
//!
//! Guarantees: one byte in gives at most one byte out; state is two bytes, whatever the stream.

const IAC: u8 = 0xff;
const SB: u8 = 0xfa;
const SE: u8 = 0xf0;

/// Takes commands and options out of one direction of a telnet stream, across any split of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripper {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Command,
    Option,
    Sub,
    SubCommand,
}

impl Stripper {
    /// At the beginning of a direction.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Text }
    }

    /// The text in the next byte, if any.
    pub const fn byte(&mut self, byte: u8) -> Option<u8> {
        let (state, text) = match (self.state, byte) {
            (State::Text, IAC) => (State::Command, None),
            (State::Text, _) => (State::Text, Some(byte)),
            (State::Command, IAC) => (State::Text, Some(IAC)),
            (State::Command, SB) => (State::Sub, None),
            (State::Command, 0xfb..=0xfe) => (State::Option, None),
            (State::Command | State::Option, _) => (State::Text, None),
            (State::Sub, IAC) => (State::SubCommand, None),
            // SE ends it; any other command inside means that the SE was lost.
            (State::SubCommand, SE | 0xf1..=0xf9) => (State::Text, None),
            (State::SubCommand, 0xfb..=0xfe) => (State::Option, None),
            (State::Sub | State::SubCommand, _) => (State::Sub, None),
        };
        self.state = state;
        text
    }

    /// Bytes were lost: whatever was begun is over.
    pub const fn gap(&mut self) {
        self.state = State::Text;
    }
}

/// What the beginning of a direction says about its being telnet, by option negotiation alone:
/// `Some(true)` certainly, `Some(false)` certainly not, `None` as yet unknown.
#[must_use]
pub fn recognise(start: &[u8]) -> Option<bool> {
    match start {
        [] | [IAC] => None,
        [IAC, 0xfb..=0xfe] => None,
        // Options in use are few: 0 to 49, and 255 for the extended list.
        [IAC, 0xfb..=0xfe, option, ..] => Some(*option < 50 || *option == IAC),
        [IAC, SB, rest @ ..] => rest.first().map(|option| *option < 50),
        [IAC, 0xf1..=0xf9, ..] => Some(true),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_negotiation_wherever_it_is_split() {
        let check = |input: &[u8], expected: &[u8]| {
            let mut stripper = Stripper::default();
            let text: Vec<u8> = input.iter().filter_map(|&byte| stripper.byte(byte)).collect();
            assert_eq!(text, expected, "{input:02x?}");
        };
        check(b"login: ", b"login: ");
        check(b"\xff\xfd\x03\xff\xfb\x18login: ", b"login: ");
        check(b"\xff\xfa\x18\x00xterm\xff\xf0$ ", b"$ ");
        check(b"a\xff\xffb", b"a\xffb");
        check(b"\xff\xfa\x18unterminated", b"");
        check(b"x\xff\xf1y", b"xy");
    }

    #[test]
    fn is_known_by_its_negotiation() {
        for (start, expected) in [
            (&b"\xff"[..], None),
            (b"\xff\xfd", None),
            (b"\xff\xfd\x01", Some(true)),
            (b"\xff\xfa\x18", Some(true)),
            (b"\xff\xfd\xc0", Some(false)),
            (b"\xff\xd8\xff\xe0", Some(false)),
            (b"login:", Some(false)),
        ] {
            assert_eq!(recognise(start), expected, "{start:02x?}");
        }
    }
}
