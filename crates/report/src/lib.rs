//! Tell it: timeline, documents, HTML.
