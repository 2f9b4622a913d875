//! A city in network namespaces and the attacks on it.
