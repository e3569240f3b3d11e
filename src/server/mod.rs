//! The gRPC doors: ADS (SotW and delta), the services per type, client status, health, reflection.
