//! What may be wrong with a new version, and with a proxy of the fleet.

use super::service::Fault;

/// A new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// 2 % of its answers are errors.
    Fails,
    /// 2 % of its answers take ten times as long.
    Tail,
    /// All its answers take a quarter longer.
    Slower,
    /// Its process ends in the middle of the rollout.
    Dead,
    /// It is as good as the one before.
    Fine,
}

impl Case {
    /// What its service is told at the start.
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Fails => Fault::Fails(0.02),
            Self::Tail => Fault::Tail(0.02, 10.0),
            Self::Slower => Fault::Slower(1.25),
            Self::Dead | Self::Fine => Fault::None,
        }
    }

    /// The metric that must tell; none where there is nothing to tell.
    pub(crate) fn metric(self) -> Option<&'static str> {
        match self {
            Self::Fails | Self::Dead => Some("error-rate"),
            Self::Tail | Self::Slower => Some("latency"),
            Self::Fine => None,
        }
    }
}

/// What goes wrong with the last proxy of the fleet while a version is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// Its wire to the control plane goes dead.
    CutOff,
    /// It is ended and started again.
    Restarted,
    /// Its telemetry is nonsense from the start.
    Garbage,
}
