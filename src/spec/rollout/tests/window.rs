//! `spec.promotionWindows`.

use std::time::Duration;

use super::{good, refused, with};
use crate::spec::{WindowKind, WindowVerdict, verdict};

fn rollout(windows: &str) -> String {
    with(4, &format!("spec:\n  promotionWindows: {windows}"))
}

#[test]
fn windows_are_read() {
    let rollout = good(&rollout(
        "
  - {kind: Deny, rrule: 'FREQ=WEEKLY;BYDAY=SA,SU', start: 2026-01-03T00:00:00, duration: 48h, timeZone: Europe/Berlin}
  - {kind: Allow, rrule: FREQ=DAILY}",
    ));
    let windows = &rollout.promotion_windows;
    let [deny, allow] = windows.as_slice() else { panic!("{windows:?}") };
    assert_eq!((deny.kind, &*deny.rule), (WindowKind::Deny, "FREQ=WEEKLY;BYDAY=SA,SU"));
    assert_eq!((deny.duration, deny.zone.name()), (Duration::from_secs(172_800), "Europe/Berlin"));
    assert_eq!(
        (allow.kind, allow.duration, allow.zone.name()),
        (WindowKind::Allow, Duration::from_secs(86_400), "UTC")
    );
    // Saturday, 3 January 2026, begins at 23:00 UTC on Friday.
    let saturday = 1_767_394_800;
    assert_eq!(verdict(windows, Duration::from_secs(saturday - 1)), WindowVerdict::Open);
    assert_ne!(verdict(windows, Duration::from_secs(saturday)), WindowVerdict::Open);
}

#[test]
fn windows_are_checked() {
    let start = "start must be a local time such as 2026-01-03T00:00:00, found";
    let duration = "duration must be whole seconds from 1m to 8784h, found";
    for (text, expected) in [
        ("|{}", "promotionWindows must be a list, found a mapping"),
        ("[|1]", "a promotion window must be a mapping, found 1"),
        ("[|{rrule: FREQ=DAILY}]", "kind is missing: it is Allow or Deny"),
        ("[|{kind: Deny}]", "rrule is missing: it says when the window is on, e.g. FREQ=WEEKLY;BYDAY=SA,SU"),
        (
            "[{kind: |deny, rrule: FREQ=DAILY}]",
            "kind must be one of Allow, Deny, found \"deny\" (did you mean \"Deny\"?)",
        ),
        (
            "[{kind: Deny, rrule: FREQ=DAILY, |timezone: UTC}]",
            "unknown key \"timezone\" in a promotion window (did you mean \"timeZone\"?)",
        ),
        ("[{kind: Deny, rrule: |FREQ=DALLY}]", "rrule: \"DALLY\" is not a valid frequency"),
        (
            "[{kind: Deny, rrule: |FREQ=DAILY;UNTIL=20260101, start: 2027-01-01T00:00:00}]",
            "rrule: the rule has no occurrence (with start 2027-01-01T00:00:00)",
        ),
        (
            "[{kind: Deny, rrule: FREQ=DAILY, start: |2026-01-03}]",
            &format!("{start} \"2026-01-03\" (write 2026-01-03T00:00:00)"),
        ),
        (
            "[{kind: Deny, rrule: FREQ=DAILY, start: |2026-01-03 10:00:00}]",
            &format!("{start} \"2026-01-03 10:00:00\" (write 2026-01-03T10:00:00)"),
        ),
        (
            "[{kind: Deny, rrule: FREQ=DAILY, start: |2026-01-03T00:00:00Z}]",
            &format!("{start} \"2026-01-03T00:00:00Z\" (leave out Z: timeZone says where it is local)"),
        ),
        ("[{kind: Deny, rrule: FREQ=DAILY, start: |1969-01-03T00:00:00}]", &format!("{start} \"1969-01-03T00:00:00\"")),
        ("[{kind: Deny, rrule: FREQ=DAILY, start: |2026-02-30T00:00:00}]", &format!("{start} \"2026-02-30T00:00:00\"")),
        ("[{kind: Deny, rrule: FREQ=DAILY, duration: |59s}]", &format!("{duration} \"59s\"")),
        ("[{kind: Deny, rrule: FREQ=DAILY, duration: |90.5}]", &format!("{duration} 90.5")),
        ("[{kind: Deny, rrule: FREQ=DAILY, duration: |8785h}]", &format!("{duration} \"8785h\"")),
        (
            "[{kind: Deny, rrule: FREQ=DAILY, timeZone: |Europe/Berln}]",
            "timeZone must be an IANA name such as Europe/Berlin, found \"Europe/Berln\" (did you mean \"Europe/Berlin\"?)",
        ),
    ] {
        refused(&rollout(text), expected);
    }
}
