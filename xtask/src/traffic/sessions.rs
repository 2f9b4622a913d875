//! Whole sessions in which somebody logs in, or tries to: telnet, SSH, HTTP, MQTT, FTP; and TLS.
//!
//! Each writes handshake, greeting, attempts, the server's verdicts and the end, as the real programs do.

use super::apps::{base64, client_hello};
use super::random::Rng;
use super::tape::Talk;

/// One attempt: name, password, whether it is the right one.
pub type Login<'a> = (&'a str, &'a str, bool);

/// A telnet session.
pub struct TelnetGuess<'a> {
    /// Attempts in this connection.
    pub logins: &'a [Login<'a>],
    /// Commands run once it is in, with what they answer.
    pub commands: &'a [(&'a str, &'a str)],
}

impl TelnetGuess<'_> {
    /// Plays it; true where it got in.
    pub fn play(&self, talk: &mut Talk<'_>, rng: &mut Rng) -> bool {
        let host = rng.word(6);
        talk.open().down(&[255, 253, 1, 255, 253, 31, 255, 251, 1, 255, 251, 3]);
        talk.up(&[255, 252, 1, 255, 252, 31, 255, 254, 1, 255, 253, 3]);
        talk.down(format!("\r\n{host} login: ").as_bytes());
        for (number, (name, password, right)) in self.logins.iter().enumerate() {
            if number > 0 {
                talk.down(format!("{host} login: ").as_bytes());
            }
            talk.pause(rng.between(20_000, 300_000) as i64).up(format!("{name}\r\n").as_bytes());
            talk.down(format!("{name}\r\nPassword: ").as_bytes());
            talk.pause(rng.between(20_000, 300_000) as i64).up(format!("{password}\r\n").as_bytes());
            talk.pause(rng.between(200_000, 1_500_000) as i64);
            if *right {
                talk.down(b"\r\n\r\n\r\nBusyBox v1.19.4 (2016-03-05 13:22:28 CST) built-in shell (ash)\r\nEnter 'help' for a list of built-in commands.\r\n\r\n# ");
                for (command, answer) in self.commands {
                    talk.pause(rng.between(50_000, 400_000) as i64).up(format!("{command}\r\n").as_bytes());
                    talk.down(format!("{command}\r\n{answer}\r\n# ").as_bytes());
                }
                return true;
            }
            talk.down(b"\r\nLogin incorrect\r\n");
        }
        false
    }
}

/// An SSH session: banners in clear, then packets whose lengths alone can be seen.
pub struct SshGuess {
    /// How many wrong passwords.
    pub wrong: u32,
    /// Then the right one, and some work in a shell.
    pub right: bool,
    /// The client's banner.
    pub client: &'static str,
    /// Between two attempts, in microseconds: a program's or a person's.
    pub thinking: (u64, u64),
}

impl SshGuess {
    /// Plays it.
    pub fn play(&self, talk: &mut Talk<'_>, rng: &mut Rng) {
        talk.open().down(b"SSH-2.0-dropbear_2017.75\r\n").up(format!("{}\r\n", self.client).as_bytes());
        let kex = |rng: &mut Rng, length: usize| {
            let mut packet = ((length - 4) as u32).to_be_bytes().to_vec();
            packet.extend_from_slice(&[8, 20]);
            packet.extend(rng.bytes(16));
            packet.extend(
                b"curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256"
                    .iter()
                    .cycle()
                    .take(length - 22),
            );
            packet
        };
        talk.down(&kex(rng, 440)).up(&kex(rng, 648));
        talk.up(&rng.bytes(48))
            .down(&rng.bytes(260))
            .up(&rng.bytes(16))
            .up(&rng.bytes(44))
            .down(&rng.bytes(44));
        talk.up(&rng.bytes(60)).down(&rng.bytes(52));
        for _ in 0..self.wrong {
            talk.pause(rng.between(self.thinking.0, self.thinking.1) as i64);
            talk.up(&rng.bytes(84)).pause(1_800_000).down(&rng.bytes(52));
        }
        if self.right {
            talk.pause(rng.between(self.thinking.0, self.thinking.1) as i64);
            talk.up(&rng.bytes(84)).down(&rng.bytes(28)).up(&rng.bytes(112)).down(&rng.bytes(500));
            for _ in 0..rng.between(20, 60) {
                let length = 36 + 16 * rng.below(20) as usize;
                talk.pause(rng.between(80_000, 2_500_000) as i64).up(&rng.bytes(36)).down(&rng.bytes(length));
            }
            talk.close();
        } else {
            talk.closed_by_server();
        }
    }
}

/// An HTTP request with a name and a password.
pub struct HttpGuess<'a> {
    /// Name, password, right or not.
    pub login: Login<'a>,
    /// The page.
    pub path: &'a str,
    /// A form that is posted, rather than basic authentication.
    pub form: bool,
}

impl HttpGuess<'_> {
    /// Plays it.
    pub fn play(&self, talk: &mut Talk<'_>, host: &str) {
        let (name, password, right) = self.login;
        talk.open();
        if self.form {
            let body = format!("username={name}&password={password}");
            let path = self.path;
            talk.up(format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
            talk.pause(60_000).down(if right {
                b"HTTP/1.1 302 Found\r\nLocation: /index.asp\r\nSet-Cookie: session=1\r\nContent-Length: 0\r\n\r\n".as_slice()
            } else {
                b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html\r\nContent-Length: 27\r\n\r\n<h1>Wrong password</h1>    "
            });
        } else {
            let secret = base64(format!("{name}:{password}").as_bytes());
            let path = self.path;
            talk.up(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {secret}\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n").as_bytes());
            talk.pause(40_000).down(if right {
                b"HTTP/1.1 200 OK\r\nServer: Boa/0.94.14rc21\r\nContent-Type: text/html\r\nContent-Length: 22\r\n\r\n<html>Live view</html>".as_slice()
            } else {
                b"HTTP/1.1 401 Unauthorized\r\nServer: Boa/0.94.14rc21\r\nWWW-Authenticate: Basic realm=\"IPCamera\"\r\nContent-Length: 0\r\n\r\n"
            });
        }
        talk.close();
    }
}

/// An MQTT connection attempt.
pub struct MqttGuess<'a> {
    /// Name, password, right or not.
    pub login: Login<'a>,
    /// Client identifier.
    pub id: &'a str,
    /// How many messages are published once it is in.
    pub publishes: u32,
}

impl MqttGuess<'_> {
    /// Plays it.
    pub fn play(&self, talk: &mut Talk<'_>, rng: &mut Rng) {
        let (name, password, right) = self.login;
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend_from_slice(&(text.len() as u16).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        let mut body = Vec::new();
        text(&mut body, "MQTT");
        body.extend_from_slice(&[4, if name.is_empty() { 2 } else { 0xc2 }, 0, 60]);
        text(&mut body, self.id);
        if !name.is_empty() {
            text(&mut body, name);
            text(&mut body, password);
        }
        let mut packet = vec![0x10, body.len() as u8];
        packet.extend(body);
        talk.open().up(&packet);
        talk.down(&[0x20, 2, 0, if right { 0 } else { 5 }]);
        if !right {
            talk.closed_by_server();
            return;
        }
        for _ in 0..self.publishes {
            let mut body = Vec::new();
            text(&mut body, "city/street/lamp/power");
            body.extend_from_slice(format!("{{\"w\":{}}}", rng.below(90)).as_bytes());
            let mut packet = vec![0x30, body.len() as u8];
            packet.extend(body);
            talk.pause(rng.between(500_000, 3_000_000) as i64).up(&packet);
        }
        talk.up(&[0xe0, 0]).close();
    }
}

/// An FTP control connection with attempts.
pub struct FtpGuess<'a> {
    /// Attempts in this connection.
    pub logins: &'a [Login<'a>],
}

impl FtpGuess<'_> {
    /// Plays it.
    pub fn play(&self, talk: &mut Talk<'_>) {
        talk.open().down(b"220 (vsFTPd 2.3.4)\r\n");
        for (name, password, right) in self.logins {
            talk.up(format!("USER {name}\r\n").as_bytes()).down(b"331 Please specify the password.\r\n");
            talk.up(format!("PASS {password}\r\n").as_bytes());
            if *right {
                talk.down(b"230 Login successful.\r\n").up(b"SYST\r\n").down(b"215 UNIX Type: L8\r\n");
            } else {
                talk.pause(900_000).down(b"530 Login incorrect.\r\n");
            }
        }
        talk.up(b"QUIT\r\n").down(b"221 Goodbye.\r\n").close();
    }
}

impl Talk<'_> {
    /// The opening of TLS with a server of that name.
    pub fn tls(&mut self, rng: &mut Rng, name: &str) -> &mut Self {
        self.open().up(&client_hello(rng, name));
        let mut answer = vec![22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3];
        answer.extend(rng.bytes(32));
        answer.push(32);
        answer.extend(rng.bytes(32));
        answer.extend_from_slice(&[0x13, 1, 0, 0, 14, 0, 43, 0, 2, 3, 4, 0, 51, 0, 4, 0, 29, 0, 0]);
        answer.extend_from_slice(&[20, 3, 3, 0, 1, 1, 23, 3, 3, 0x0b, 0x00]);
        answer.extend(rng.bytes(0x0b00));
        self.down(&answer);
        let finished = record(rng, 53);
        self.up(&finished)
    }

    /// So many bytes of encrypted application data from the client.
    pub fn sealed_up(&mut self, rng: &mut Rng, length: usize) -> &mut Self {
        let bytes = record(rng, length);
        self.up(&bytes)
    }

    /// So many bytes of encrypted application data from the server.
    pub fn sealed_down(&mut self, rng: &mut Rng, length: usize) -> &mut Self {
        let bytes = record(rng, length);
        self.down(&bytes)
    }
}

fn record(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut out = vec![23, 3, 3];
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend(rng.bytes(length));
    out
}
