//! Blue-green: a preview for some, then all traffic in one push.
//!
//! The switch comes once the fleet has the preview, `switchAt` is reached, and the time of `autoPromotionSeconds` is over
//! or somebody promoted. With no options set all of that holds at once.

use std::sync::Arc;
use std::time::Duration;

use super::traffic::whole;
use super::words::span;
use crate::spec::{BlueGreen, HeaderRoute, Rollout, Traffic};

/// The traffic before the switch.
pub(super) fn traffic(spec: &Rollout, options: &BlueGreen, stable: &str, to: &Arc<str>) -> Traffic {
    let mut traffic = Traffic::of(whole(spec, stable));
    if !options.preview.is_empty() {
        let route = HeaderRoute { name: "preview".into(), matches: options.preview.clone() };
        traffic.header_routes.push((route, Arc::clone(to)));
    }
    traffic
}

/// What a delivered preview waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nothing: the switch comes now, for this reason.
    Open(String),
    /// `autoPromotionSeconds`, so much of it left.
    Timer(Duration),
    /// Somebody to promote.
    Promotion,
    /// `switchAt`, so far away.
    Instant(Duration),
}

/// What stands between the preview and the switch, after `waited` with the preview on the fleet.
pub(super) fn gate(options: &BlueGreen, now: Duration, waited: Duration, approved: bool) -> Gate {
    if !approved {
        if !options.auto_promotion_enabled {
            return Gate::Promotion;
        }
        let left = options.auto_promotion.unwrap_or_default().saturating_sub(waited);
        if !left.is_zero() {
            return Gate::Timer(left);
        }
    }
    let left = options.switch_at.unwrap_or_default().saturating_sub(now);
    if !left.is_zero() {
        return Gate::Instant(left);
    }
    Gate::Open(match (approved, options.auto_promotion) {
        (true, _) => "promoted".to_owned(),
        (false, Some(time)) => format!("autoPromotionSeconds is over: {}", span(time)),
        (false, None) if options.switch_at.is_some() => "switchAt is reached".to_owned(),
        (false, None) => "nothing to wait for".to_owned(),
    })
}
