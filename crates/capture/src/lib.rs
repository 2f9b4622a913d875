//! The AF_PACKET ring.
