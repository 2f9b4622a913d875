//! The HTTP side: API and console.
