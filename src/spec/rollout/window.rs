//! `promotionWindows`: the list of windows.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike, NaiveDateTime};
use chrono_tz::Tz;

use super::{duration, required, scalar};
use crate::spec::fields::{Fields, list, unexpected};
use crate::spec::window::{PromotionWindow, WindowKind};
use crate::spec::yaml::{Data, Node};
use crate::spec::{Reporter, suggest};

const KINDS: [(&str, WindowKind); 2] = [("Allow", WindowKind::Allow), ("Deny", WindowKind::Deny)];

/// A day.
const DURATION: Duration = Duration::from_secs(86_400);

/// Reads the list. Windows with mistakes are reported and left out.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Vec<Arc<PromotionWindow>> {
    let items = list(node, "promotionWindows", reporter).unwrap_or_default();
    items.iter().filter_map(|item| one(item, reporter).map(Arc::new)).collect()
}

fn one(node: &Node, reporter: &mut Reporter) -> Option<PromotionWindow> {
    let known = ["kind", "rrule", "start", "duration", "timeZone"];
    let fields = Fields::read(node, "a promotion window", &known, reporter)?;
    let kind = required(&fields, "kind", "it is Allow or Deny", reporter);
    let kind = kind.and_then(|node| scalar::word(node, "kind", &KINDS, reporter));
    let start = fields.get("start").map_or_else(|| Some(NaiveDateTime::default()), |node| local_time(node, reporter));
    let duration = fields.get("duration").map_or(Some(DURATION), |node| length(node, reporter));
    let zone = fields.get("timeZone").map_or(Some(Tz::UTC), |node| time_zone(node, reporter));
    let node = required(&fields, "rrule", "it says when the window is on, e.g. FREQ=WEEKLY;BYDAY=SA,SU", reporter)?;
    let rule = scalar::text(node, "rrule", reporter)?;
    let window = PromotionWindow::new(kind?, rule, start?, duration?, zone?);
    window.map_err(|(message, help)| reporter.error(node.position, format!("rrule: {message}"), rule, help)).ok()
}

/// The year must have four digits.
fn local_time(node: &Node, reporter: &mut Reporter) -> Option<NaiveDateTime> {
    let parse = |text: &str| {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok()?;
        (text.len() == "2026-01-03T00:00:00".len() && (1970..=9999).contains(&time.year())).then_some(time)
    };
    let help = match &node.data {
        Data::String(text) => match parse(text) {
            Some(time) => return Some(time),
            None if text.strip_suffix('Z').is_some_and(|text| parse(text).is_some()) => {
                Some("leave out Z: timeZone says where it is local".to_owned())
            }
            None => {
                let meant = [format!("{text}T00:00:00"), format!("{text}:00"), text.replacen(' ', "T", 1)];
                meant.iter().find(|text| parse(text).is_some()).map(|meant| format!("write {meant}"))
            }
        },
        _ => None,
    };
    unexpected(node, "start", "a local time such as 2026-01-03T00:00:00", help, reporter)
}

fn length(node: &Node, reporter: &mut Reporter) -> Option<Duration> {
    let duration = duration::read(node, "duration", reporter)?;
    let fits = (PromotionWindow::MIN..=PromotionWindow::MAX).contains(&duration) && duration.subsec_nanos() == 0;
    if fits { Some(duration) } else { unexpected(node, "duration", "whole seconds from 1m to 8784h", None, reporter) }
}

fn time_zone(node: &Node, reporter: &mut Reporter) -> Option<Tz> {
    let text = if let Data::String(text) = &node.data { text } else { "" };
    let help = match text.parse() {
        Ok(zone) => return Some(zone),
        Err(_) => suggest::did_you_mean(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())),
    };
    unexpected(node, "timeZone", "an IANA name such as Europe/Berlin", help, reporter)
}
