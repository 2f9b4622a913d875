//! Mixes for the benchmark.
