//! Why an interface cannot be watched.

use std::io;

/// Why an interface cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The name cannot be one of an interface.
    #[error("expected the name of an interface (1 to 15 bytes, no '/' and no blanks), found {0:?}")]
    Name(String),
    /// The process may not capture.
    #[error("watching {interface} needs the right to capture: run as root, or with CAP_NET_RAW")]
    NotPermitted {
        /// The interface.
        interface: String,
    },
    /// The ring would be too small or too large.
    #[error("a ring of {bytes} bytes cannot be had: expected {least} to {most}")]
    RingSize {
        /// What was asked for.
        bytes: usize,
        /// The least that works.
        least: usize,
        /// The most that is allowed.
        most: usize,
    },
    /// An interface of another kind came up under the name.
    #[error("{interface} came back as another kind of link: start again to watch it")]
    LinkChanged {
        /// The interface.
        interface: String,
    },
    /// The kernel refused.
    #[error("{interface}: cannot {step}: {source}")]
    System {
        /// The interface.
        interface: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}
