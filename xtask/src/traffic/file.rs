//! Capture files: written in every form that the product says it reads, and read for mixing.

use super::tape::Tape;
use anyhow::{Context as _, Result, bail};
use std::{
    fs::File,
    io::{BufWriter, Read as _, Write},
    path::Path,
};

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// pcap, little-endian, microseconds, Ethernet.
    Pcap,
    /// pcap, big-endian, nanoseconds, Ethernet.
    PcapBig,
    /// pcapng, Ethernet.
    Pcapng,
    /// pcap, Ethernet, every frame with an 802.1Q tag.
    Tagged,
    /// pcap, Linux cooked v1, as `-i any` records.
    Cooked,
    /// pcap, raw IP: what is not IP is left out.
    Raw,
    /// No capture but a Zeek conn.log of it.
    Zeek,
}

impl Form {
    /// How a file's name ends, by custom.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Pcapng => "pcapng",
            Self::Zeek => "conn.log",
            _ => "pcap",
        }
    }

    fn link(self) -> u32 {
        match self {
            Self::Cooked => 113,
            Self::Raw => 101,
            _ => 1,
        }
    }

    /// The bytes of an Ethernet frame in this form; `None` where it cannot be told.
    fn dress(self, frame: &[u8]) -> Option<Vec<u8>> {
        let (dst, src, kind, body) =
            (frame.get(..6)?, frame.get(6..12)?, frame.get(12..14)?, frame.get(14..)?);
        Some(match self {
            Self::Pcap | Self::PcapBig | Self::Pcapng => frame.to_vec(),
            Self::Tagged => [dst, src, &[0x81, 0, 0, 100], kind, body].concat(),
            Self::Cooked => {
                let to: u8 = if dst.first()? & 1 == 1 { 1 } else { 0 };
                [&[0, to, 0, 1, 0, 6], src, &[0, 0], kind, body].concat()
            }
            Self::Raw if kind == [0x08, 0] || kind == [0x86, 0xdd] => body.to_vec(),
            Self::Raw | Self::Zeek => return None,
        })
    }
}

fn pcap_header(out: &mut impl Write, form: Form) -> Result<()> {
    let big = form == Form::PcapBig;
    let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let half = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    out.write_all(&word(if big { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }))?;
    out.write_all(&half(2))?;
    out.write_all(&half(4))?;
    for field in [0, 0, 262_144, form.link()] {
        out.write_all(&word(field))?;
    }
    Ok(())
}

/// Writes a tape; frames longer than `snap` are cut. The tape must be sorted.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, tape: &Tape, form: Form, snap: usize) -> Result<()> {
    if form == Form::Zeek {
        return super::write_zeek(path, tape);
    }
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let big = form == Form::PcapBig;
    let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    if form == Form::Pcapng {
        for field in [
            0x0a0d_0d0a,
            28,
            0x1a2b_3c4d,
            0x0000_0001,
            u32::MAX,
            u32::MAX,
            28,
            1,
            20,
            form.link(),
            262_144,
            20,
        ] {
            out.write_all(&word(field))?;
        }
    } else {
        pcap_header(&mut out, form)?;
    }
    for (at, frame) in tape.frames() {
        let Some(bytes) = form.dress(frame) else { continue };
        let kept = bytes.get(..snap.min(bytes.len())).unwrap_or_default();
        if form == Form::Pcapng {
            let padding = kept.len().next_multiple_of(4) - kept.len();
            let total = (32 + kept.len() + padding) as u32;
            let fields = [6, total, 0, (at >> 32) as u32, at as u32, kept.len() as u32, bytes.len() as u32];
            for field in fields {
                out.write_all(&word(field))?;
            }
            out.write_all(kept)?;
            out.write_all([0; 3].get(..padding).unwrap_or_default())?;
            out.write_all(&word(total))?;
        } else {
            let fraction = at.rem_euclid(1_000_000) as u32 * if big { 1_000 } else { 1 };
            for field in [at.div_euclid(1_000_000) as u32, fraction, kept.len() as u32, bytes.len() as u32] {
                out.write_all(&word(field))?;
            }
            out.write_all(kept)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// A recording read back: frames with their length on the wire.
pub struct Capture {
    /// Ethernet frames.
    pub frames: Vec<(i64, u32, Vec<u8>)>,
}

/// Reads a little-endian Ethernet pcap with microseconds, which is what the captures to mix are.
///
/// # Errors
/// Where it cannot be read, or is of another form.
pub fn read(path: &Path) -> Result<Capture> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let word = |at: usize| -> Option<u32> {
        bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes)
    };
    let nanos = match word(0) {
        Some(0xa1b2_c3d4) => false,
        Some(0xa1b2_3c4d) => true,
        _ => bail!("{}: expected a little-endian pcap to mix", path.display()),
    };
    if word(20) != Some(1) {
        bail!("{}: expected Ethernet, found link type {:?}", path.display(), word(20));
    }
    let mut frames = Vec::new();
    let mut at = 24;
    while let (Some(secs), Some(fraction), Some(kept), Some(wire)) =
        (word(at), word(at + 4), word(at + 8), word(at + 12))
    {
        let Some(frame) = bytes.get(at + 16..at + 16 + kept as usize) else { break };
        let micros = if nanos { fraction / 1_000 } else { fraction };
        frames.push((i64::from(secs) * 1_000_000 + i64::from(micros), wire, frame.to_vec()));
        at += 16 + kept as usize;
    }
    Ok(Capture { frames })
}
