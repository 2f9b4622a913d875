//! Bytes to typed records: captures, packets, protocols, logs. Sans-IO.
