//! What the project does with itself: traffic with a known truth, evaluation of detection, mixes for the benchmark.

#![allow(clippy::print_stdout, reason = "a chore prints what it found")]

pub mod bench;
pub mod evaluate;
pub mod mix;
pub mod scene;
pub mod traffic;
pub mod truth;
pub mod world;
