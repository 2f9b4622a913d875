//! Traffic made from nothing: frames, conversations and the files that hold them.
//!
//! Guarantees: the same seed gives the same bytes; every checksum is right; nothing of the product's own parsing or
//! detecting is used, so that a fault there cannot hide behind the same fault here.

mod apps;
mod file;
mod packet;
mod random;
mod sessions;
mod tape;
mod zeek;

pub use apps::{DhcpMessage, Record, base64, client_hello, dhcp, dns_answer, dns_question};
pub use file::{Capture, Form, read, write};
pub use packet::{ACK, FIN, Host, PSH, RST, SYN, arp, icmp, ip, mend_header, tcp, udp};
pub use random::Rng;
pub use sessions::{FtpGuess, HttpGuess, Login, MqttGuess, SshGuess, TelnetGuess};
pub use tape::{Talk, Tape};
pub use zeek::write_zeek;
