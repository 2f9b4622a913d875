//! Know it: inventory and fingerprints.
