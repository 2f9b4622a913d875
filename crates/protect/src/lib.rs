//! Guard it: the licence to respond and the right to act.
