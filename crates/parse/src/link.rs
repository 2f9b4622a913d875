//! Link types by their LINKTYPE_ numbers (<https://www.tcpdump.org/linktypes.html>).

use std::fmt;

/// A LINKTYPE_ number: how the bytes of a captured packet begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

macro_rules! names {
    ($($number:literal $name:literal),+ $(,)?) => {
        impl LinkType {
            /// Its name for messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($number => $name,)+ _ => "of an unlisted number" }
            }

            /// The sentence for a packet whose link type is not read.
            #[must_use]
            pub(crate) const fn refusal(self) -> &'static str {
                match self.0 {
                    $($number => concat!("link type ", $name, " is not read"),)+
                    _ => "link type of an unlisted number is not read",
                }
            }
        }
    };
}

names! {
    0 "BSD loopback", 1 "Ethernet", 3 "AX.25", 6 "IEEE 802.5 token ring", 7 "ARCNET", 8 "SLIP", 9 "PPP", 10 "FDDI",
    12 "raw IP", 14 "raw IP", 50 "PPP in HDLC framing", 51 "PPPoE", 99 "Symantec firewall", 100 "LLC/SNAP ATM",
    101 "raw IP", 104 "Cisco HDLC", 105 "IEEE 802.11", 107 "frame relay", 108 "OpenBSD loopback",
    113 "Linux cooked v1", 114 "LocalTalk", 117 "OpenBSD pflog", 119 "IEEE 802.11 with Prism header",
    122 "IP over Fibre Channel", 123 "SunATM", 127 "IEEE 802.11 with radiotap header", 129 "ARCNET on Linux",
    138 "Apple IP over IEEE 1394", 143 "DOCSIS", 144 "Linux IrDA", 147 "private use", 162 "private use",
    163 "IEEE 802.11 with AVS header", 165 "BACnet MS/TP", 166 "PPP with direction", 177 "LAPD on Linux",
    187 "Bluetooth HCI H4", 189 "USB on Linux", 192 "per-packet information", 195 "IEEE 802.15.4 with FCS",
    201 "Bluetooth HCI H4 with direction", 203 "LAPD", 204 "PPP with direction", 209 "I2C on Linux",
    210 "FlexRay", 212 "LIN", 215 "IEEE 802.15.4 without preamble", 220 "USB on Linux, padded",
    226 "Solaris IPNET", 227 "CAN", 228 "raw IPv4", 229 "raw IPv6", 230 "IEEE 802.15.4 without FCS", 231 "D-Bus",
    235 "DVB CI", 239 "Netfilter log", 240 "Hilscher netANALYZER", 242 "IP over InfiniBand", 243 "MPEG-2 TS",
    245 "NFC LLCP", 248 "SCTP", 249 "USBPcap", 251 "Bluetooth low energy", 253 "Netlink", 254 "Bluetooth monitor",
    256 "Bluetooth low energy with header", 264 "ISO 14443", 266 "macOS USB", 270 "LoRaTap", 272 "nRF Sniffer",
    274 "Ethernet with preamble", 276 "Linux cooked v2", 278 "OpenVizsla USB", 283 "IEEE 802.15.4 TAP",
    292 "ETSI ITS", 293 "ELEE", 295 "Z-Wave serial", 297 "AT-link ATSC",
}

impl LinkType {
    /// BSD loopback: the address family in the byte order of the machine that captured.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP, version by the first nibble.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// Whether [`dissect`](crate::packet::dissect) reads packets of this type.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        matches!(self.0, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
