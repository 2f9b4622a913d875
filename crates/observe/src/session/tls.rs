//! TLS: whose cloud a client asks for, and how it greets. The rest is encrypted, and over as far as this program is concerned.

use super::Conversation;
use super::teller::{Side, Teller};
use model::HintKind;
use parse::app::{Unread, ja4, tls};

/// Hellos with post-quantum keys take some 1 800 bytes.
const LIMIT: usize = 2048;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tls {
    hello: Vec<u8>,
    done: bool,
}

impl Conversation for Tls {
    fn heard(&mut self, from: Side, bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        if from == Side::Server || self.done {
            self.done = true;
            return;
        }
        let joined;
        let hello = if self.hello.is_empty() {
            bytes
        } else {
            let room = LIMIT - self.hello.len().min(LIMIT);
            self.hello.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            joined = std::mem::take(&mut self.hello);
            &joined
        };
        // The name is told as soon as it is there: of many hellos the rest was cut off.
        if let Ok(tls::ClientHello { server_name: Some(name) }) = tls::client_hello(hello) {
            tell.hint(Side::Client, HintKind::Cloud, name.to_ascii_lowercase().as_bytes());
        }
        match ja4::of_client_hello(hello) {
            Ok(name) => {
                tell.hint(Side::Client, HintKind::Ja4, name.as_bytes());
                self.done = true;
            }
            Err(Unread::Incomplete) if hello.len() < LIMIT && lost == 0 => self.hello = hello.to_vec(),
            Err(_) => self.done = true,
        }
    }

    fn close(&mut self, _: &mut Teller<'_>) {
        self.done = true;
    }

    fn is_finished(&self) -> bool {
        self.done
    }
}
