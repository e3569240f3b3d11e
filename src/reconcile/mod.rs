//! The pure root: inputs in, effects out. It routes and never decides.
