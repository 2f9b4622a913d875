//! Commands as OpenC2 (Language Specification 1.0 with the stateless packet filter profile, SLPF 1.0).
