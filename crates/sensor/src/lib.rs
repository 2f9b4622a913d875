//! Capture, parse, detect and act at the edge.
