//! Incidents, assets and decisions at rest.
