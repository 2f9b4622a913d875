//! The keys, what each does, and how it can be said.

/// What a value looks like on the command line and in a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text, also paths and addresses.
    Text,
    /// Texts with commas between them.
    Texts,
    /// `true` or `false`.
    Truth,
    /// A whole number.
    Number,
    /// A number with a point.
    Fraction,
    /// Only in the file.
    Table,
}

/// A key.
#[derive(Debug)]
pub(super) struct Known {
    /// With its table, such as `server.listen`.
    pub(super) key: &'static str,
    /// The flag, where there is one.
    pub(super) flag: Option<&'static str>,
    pub(super) form: Form,
    /// What it does.
    pub(super) meaning: &'static str,
}

const fn known(key: &'static str, flag: Option<&'static str>, form: Form, meaning: &'static str) -> Known {
    Known { key, flag, form, meaning }
}

use Form::{Fraction, Number, Table, Text, Texts, Truth};

/// All keys, in the order in which they are printed: tables together.
pub(super) const KNOWN: &[Known] = &[
    known("data_dir", Some("--data-dir"), Text, "Where everything is kept: database, keys, journal."),
    known(
        "database",
        Some("--database"),
        Text,
        "Where the database is: sqlite:PATH (a file in the data directory where nothing is said) or \
         postgres://USER@HOST/DATABASE, with ?sslmode= and ?sslrootcert= as in libpq; a password is better kept in ~/.pgpass.",
    ),
    known(
        "log",
        Some("--log"),
        Text,
        "What is logged to standard error: error, warn, info, debug, or per part such as sensor=debug.",
    ),
    known(
        "authority.id",
        Some("--authority"),
        Text,
        "Whose node this is, by its id for ever, such as harbour-city; what its sensor sees belongs to it. The first start founds \
         the tree of authorities with it (local where nothing is said); later it is in that tree, or the start is refused.",
    ),
    known(
        "authority.name",
        Some("--authority-name"),
        Text,
        "What that authority is called, when it is founded; later it is renamed in the console.",
    ),
    known(
        "authority.level",
        Some("--authority-level"),
        Text,
        "What that authority is, when it is founded: national, regional, local or department.",
    ),
    known("server.listen", Some("--listen"), Text, "Address and port of console and API."),
    known(
        "server.names",
        Some("--name"),
        Texts,
        "Names under which console and API are reached; they go into the certificate. Others are refused.",
    ),
    known(
        "sensor.interfaces",
        Some("--sensor"),
        Texts,
        "Interfaces to watch. None, and no file to follow: a console over what is there.",
    ),
    known(
        "sensor.follow",
        Some("--follow"),
        Texts,
        "Suricata EVE, Zeek and Cowrie logs to follow as they grow.",
    ),
    known(
        "sensor.follow_from_start",
        Some("--follow-from-start"),
        Truth,
        "Read followed logs from their beginning the first time, not from their end.",
    ),
    known("sensor.home", Some("--home"), Texts, "Networks that are ours."),
    known("sensor.exclude", Some("--exclude"), Texts, "Networks that are never looked into."),
    known(
        "sensor.watched",
        None,
        Texts,
        "Networks of which every device is listed or enrolled: one that is not is an incident.",
    ),
    known("sensor.name", None, Text, "What this sensor is called in receipts and journal."),
    known("sensor.promiscuous", None, Truth, "Ask interfaces for packets that are not for this machine too."),
    known("sensor.ring_mib", None, Number, "Memory of each interface's ring, in MiB."),
    known("sensor.max_flows", None, Number, "Flows remembered at once."),
    known(
        "response.mode",
        Some("--respond"),
        Text,
        "off: never act. ask: a person approves each plan. auto: act at once, within the caps.",
    ),
    known(
        "response.kinds",
        None,
        Table,
        "The mode of single kinds of asset, such as { camera = \"auto\", plug = \"off\" }.",
    ),
    known("response.never", None, Texts, "Networks that are never acted on."),
    known(
        "response.administrators",
        Some("--administrator"),
        Texts,
        "The administrators' addresses: never acted on.",
    ),
    known(
        "response.resolvers",
        None,
        Texts,
        "The city's resolvers: never acted on, reachable for isolated devices at a bounded rate.",
    ),
    known("response.time_servers", None, Texts, "The city's time servers: as the resolvers."),
    known(
        "response.keep",
        None,
        Texts,
        "Bastide's own addresses: never acted on, always reachable. This machine's are added.",
    ),
    known("response.gateways", None, Texts, "Routers, address translators, DHCP servers: never acted on."),
    known(
        "response.declared_peers",
        None,
        Table,
        "Whom a protected asset has to reach even when it is infected, by its address, such as { \"10.0.0.7\" = [\"10.0.0.2\"] }.",
    ),
    known(
        "response.cap_assets_per_hour",
        None,
        Number,
        "Beyond so many distinct assets of ours in an hour, auto asks.",
    ),
    known(
        "response.cap_share_of_kind",
        None,
        Fraction,
        "Beyond this share of the assets of a kind in an hour, auto asks; one is always allowed.",
    ),
    known(
        "response.cap_blocks_per_hour",
        None,
        Number,
        "Beyond so many distinct remote addresses in an hour, auto asks.",
    ),
    known("response.auto_severity", None, Text, "Below this severity auto asks."),
    known("response.auto_confidence", None, Number, "Below this confidence, 0 to 100, auto asks."),
    known(
        "response.isolate_for_secs",
        None,
        Number,
        "How long a device stays isolated or restricted the first time, in seconds.",
    ),
    known(
        "response.block_for_secs",
        None,
        Number,
        "How long a remote address stays blocked the first time, in seconds.",
    ),
    known(
        "response.limit_for_secs",
        None,
        Number,
        "How long a flow stays limited the first time, in seconds.",
    ),
    known(
        "response.limit_packets_per_second",
        None,
        Number,
        "The rate at which a limited flow still passes.",
    ),
    known(
        "response.kept_packets_per_second",
        None,
        Number,
        "The rate at which an isolated device reaches each kept resolver and time server.",
    ),
    known(
        "response.probe_secs",
        None,
        Number,
        "How long an attack is watched for after a command ran out, in seconds.",
    ),
    known("response.longest_secs", None, Number, "What a repeated command grows to at most, in seconds."),
    known(
        "retention.incident_days",
        None,
        Number,
        "Incidents with plans and receipts go so many days after their last change.",
    ),
    known("retention.asset_days", None, Number, "Assets go so many days after they were last seen."),
    known(
        "retention.journal_days",
        None,
        Number,
        "Journal, names and details in the ledger, and exceptions that are over go after so many days.",
    ),
    known("retention.counter_days", None, Number, "Figures by the hour go after so many days."),
    known(
        "retention.disk_mib",
        None,
        Number,
        "The most disk that the database takes, in MiB; closed and old incidents go first.",
    ),
    known(
        "notify.webhook",
        Some("--webhook"),
        Text,
        "Where each new or worse incident is POSTed as JSON: https://…",
    ),
    known(
        "notify.webhook_secret_file",
        None,
        Text,
        "File with the secret that signs each POST (HMAC-SHA256); readable by its owner only.",
    ),
    known(
        "notify.webhook_ca",
        None,
        Text,
        "PEM file with the certificate that the webhook's server is verified with, in place of the system's.",
    ),
    known(
        "notify.syslog",
        Some("--syslog"),
        Text,
        "Where each new or worse incident is sent by RFC 5424: udp://host:514 or tcp://host:601.",
    ),
    known(
        "notify.severity",
        None,
        Text,
        "Incidents below this severity are not told: info, low, medium, high, critical.",
    ),
    known(
        "ledger.witnesses",
        None,
        Texts,
        "Who cosigns the checkpoints of the ledger (C2SP tlog-witness): each the witness's verifier key, a space, and its \
         submission prefix, such as https://other.example:8443/witness.",
    ),
    known("ledger.quorum", None, Number, "How many of the witnesses have to cosign."),
    known(
        "ledger.witness_ca",
        None,
        Text,
        "PEM file with the certificate that the witnesses' servers are verified with, in place of the system's.",
    ),
    known(
        "ledger.witness_for",
        None,
        Texts,
        "Verifier keys of the logs that this node cosigns as a witness, under /witness; none: it is no witness.",
    ),
    known(
        "certificates.organization",
        None,
        Text,
        "What stands first in the names of the certificate authorities that are made from now on.",
    ),
    known(
        "certificates.algorithm",
        None,
        Text,
        "With what certificate authorities made from now on sign: p256 (every device verifies it), p384 or ed25519.",
    ),
    known(
        "certificates.domains",
        None,
        Texts,
        "Domains in which certificates may name hosts, with all below them. None: devices' certificates name no host.",
    ),
    known(
        "certificates.networks",
        None,
        Texts,
        "Networks of which certificates may name addresses, such as 10.20.0.0/16. None: devices' certificates name none.",
    ),
    known(
        "certificates.addresses",
        None,
        Texts,
        "Where devices find revocation lists and OCSP, as it stands in their certificates, such as http://pki.city.example; \
         the console's address where nothing is said.",
    ),
    known(
        "certificates.listen",
        None,
        Text,
        "Address and port, such as 0.0.0.0:80, where revocation lists, OCSP and issuers' certificates are served without TLS, which \
         most clients need; nowhere where nothing is said.",
    ),
    known(
        "certificates.keys",
        None,
        Text,
        "Token on which the private keys of certificate authorities made from now on are made, such as \
         pkcs11:token=city?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/bastide/pin; without one they lie \
         encrypted in the database.",
    ),
    known(
        "certificates.profiles",
        None,
        Table,
        "What certificates are for, by name: `days` (1 to 398), `usages` (client, server), `names` (dns, address, uri, mail) and \
         `server_keygen`.",
    ),
    known(
        "agents.report_every",
        None,
        Number,
        "How often agents of devices look and report what changed, in seconds: 60 to 86400.",
    ),
    known("agents.packages", None, Truth, "Whether agents list the packages of their devices."),
    known("agents.ports", None, Truth, "Whether agents look for listening ports."),
    known(
        "agents.accounts",
        None,
        Truth,
        "Whether agents look for accounts with a factory password or none.",
    ),
];

impl Known {
    /// The variable that sets it: `BASTIDE_SERVER_LISTEN`.
    pub(super) fn variable(&self) -> String {
        format!("BASTIDE_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// The key of that name.
pub(super) fn find(key: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.key == key)
}
