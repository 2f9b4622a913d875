//! Application protocols: what a payload says, read from borrowed bytes.
//!
//! Guarantees: no parser allocates more than its result names, none keeps anything between calls, and no payload
//! can panic any of them. A result is only given for what is certainly the protocol: these parsers are asked about
//! any port.
