//! Contain it: incident to plan, plan with permit to commands, undo.
