//! Notice it: events in, findings out, findings to incidents.
