//! The app on somebody's phone.

use model::Timestamp;

/// An authenticator app.
pub(crate) struct App(totp_rs::Totp);

impl App {
    /// Reads what the page tells it.
    pub(crate) fn reads(page: &str) -> Self {
        let text = page.split("data-copy=\"").nth(1).unwrap().split('"').next().unwrap();
        let (mut bits, mut held, mut secret) = (0_u32, 0, Vec::new());
        for letter in text.bytes().filter(u8::is_ascii_alphanumeric) {
            let value = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
            (bits, held) = (bits << 5 | u32::from(value), held + 5);
            if held >= 8 {
                held -= 8;
                secret.push((bits >> held) as u8);
            }
        }
        assert_eq!(secret.len(), 20);
        let secret = totp_rs::Secret::new(secret.as_slice().into());
        Self(totp_rs::Builder::new().with_secret(secret).build().unwrap())
    }

    /// The code of so many steps from now.
    pub(crate) fn shows(&self, now: Timestamp, steps: i64) -> String {
        self.0.generate(u64::try_from(now.micros() / 1_000_000 + 30 * steps).unwrap()).to_string()
    }
}
