//! Records to events: flow table, streams, protocol recognition, what was visible.
