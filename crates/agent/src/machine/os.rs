//! What it runs, and since when.

use super::{Machine, cut};
use model::Timestamp;
use wire::{Os, limit};

impl Machine {
    pub(super) fn os(&self) -> Os {
        let (mut id, mut version, mut name) = (None, None, None);
        for file in ["etc/os-release", "usr/lib/os-release"] {
            let read = self.lines(file, |line| {
                let Some((key, value)) = line.split_once('=') else { return };
                let value = value.trim().trim_matches(['"', '\'']);
                let value = Some(cut(value, limit::COMPONENT)).filter(|value| !value.is_empty());
                match key.trim() {
                    "ID" => id = value,
                    "VERSION_ID" => version = value,
                    "PRETTY_NAME" => name = value,
                    _ => {}
                }
            });
            if read.is_ok() {
                break;
            }
        }
        let kernel = self.line("proc/sys/kernel/osrelease").filter(|kernel| !kernel.is_empty());
        Os {
            id: id.unwrap_or_else(|| "linux".into()),
            version,
            name,
            kernel: kernel.unwrap_or_else(|| "unknown".into()),
            architecture: std::env::consts::ARCH.to_owned(),
        }
    }

    /// The id of this start of the kernel, and its moment.
    pub(super) fn start(&self) -> (Option<String>, Option<Timestamp>) {
        let mut started = None;
        let _ = self.lines("proc/stat", |line| {
            if let Some(secs) = line.strip_prefix("btime ").and_then(|secs| secs.trim().parse().ok()) {
                started = Some(Timestamp::from_secs(secs));
            }
        });
        let boot = self.line("proc/sys/kernel/random/boot_id").filter(|boot| !boot.is_empty());
        (boot, started)
    }
}
