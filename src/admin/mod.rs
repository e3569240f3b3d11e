//! The HTTP door: API and health.
