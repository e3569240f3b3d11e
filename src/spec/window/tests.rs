use proptest::prelude::*;

use super::*;

fn window(kind: WindowKind, rule: &str, start: &str, hours: u64, zone: &str) -> Arc<PromotionWindow> {
    let start = local(start);
    let duration = Duration::from_secs(hours * 3600);
    let window = PromotionWindow::new(kind, rule, start, duration, zone.parse().expect(zone));
    Arc::new(window.unwrap_or_else(|mistake| panic!("{rule}: {mistake:?}")))
}

fn deny(rule: &str, start: &str, hours: u64, zone: &str) -> Arc<PromotionWindow> {
    window(WindowKind::Deny, rule, start, hours, zone)
}

fn allow(rule: &str, start: &str, hours: u64, zone: &str) -> Arc<PromotionWindow> {
    window(WindowKind::Allow, rule, start, hours, zone)
}

fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").expect(text)
}

fn utc(text: &str) -> Duration {
    Duration::from_secs(local(text).and_utc().timestamp().try_into().expect("after 1970"))
}

fn text(at: Duration) -> String {
    let at = DateTime::from_timestamp(at.as_secs().cast_signed(), 0).expect("in range");
    at.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// `open`, or until when it is shut.
fn at(windows: &[Arc<PromotionWindow>], now: &str) -> String {
    match verdict(windows, utc(now)) {
        WindowVerdict::Open => "open".into(),
        WindowVerdict::Shut { until, .. } => until.map_or_else(|| "never".into(), text),
    }
}

fn refused(rule: &str) -> String {
    let window =
        PromotionWindow::new(WindowKind::Deny, rule, local("2026-01-01T09:30:00"), PromotionWindow::MIN, Tz::UTC);
    let (message, help) = window.expect_err(rule);
    help.map(|help| format!("{message} ({help})")).unwrap_or(message)
}

#[test]
fn without_windows_all_is_open() {
    assert_eq!(verdict(&[], Duration::ZERO), WindowVerdict::Open);
}

#[test]
fn weekends_are_denied_in_their_zone() {
    let windows = [deny("FREQ=WEEKLY;BYDAY=SA,SU", "2026-01-03T00:00:00", 24, "Europe/Berlin")];
    for (now, expected) in [
        ("2025-06-07T12:00:00", "open"), // Before the start.
        ("2026-01-02T22:59:59", "open"),
        ("2026-01-02T23:00:00", "2026-01-04T23:00:00"),
        ("2026-01-04T22:59:59", "2026-01-04T23:00:00"),
        ("2026-01-04T23:00:00", "open"),
        ("2026-07-03T22:00:00", "2026-07-05T22:00:00"), // Summer time.
        ("2026-03-28T00:00:00", "2026-03-29T23:00:00"), // 29 March has 23 hours, the occurrence 24.
        ("2026-10-24T00:00:00", "2026-10-25T22:00:00"), // 25 October has 25 hours, the occurrence 24.
        ("2026-10-25T22:30:00", "open"),
    ] {
        assert_eq!(at(&windows, now), expected, "{now}");
    }
    let WindowVerdict::Shut { why, .. } = verdict(&windows, utc("2026-01-03T12:00:00")) else { panic!("open") };
    assert_eq!(why, "a Deny window is on (FREQ=WEEKLY;BYDAY=SA,SU)");
}

#[test]
fn outside_of_allowed_hours_it_is_shut() {
    let windows = [allow("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "2026-01-05T09:00:00", 8, "America/New_York")];
    for (now, expected) in [
        ("2025-12-30T15:00:00", "2026-01-05T14:00:00"),
        ("2026-01-05T13:59:59", "2026-01-05T14:00:00"),
        ("2026-01-05T14:00:00", "open"),
        ("2026-01-09T21:59:59", "open"),
        ("2026-01-09T22:00:00", "2026-01-12T14:00:00"),
        ("2026-03-06T22:00:00", "2026-03-09T13:00:00"), // Summer time from 8 March on.
    ] {
        assert_eq!(at(&windows, now), expected, "{now}");
    }
    let WindowVerdict::Shut { why, .. } = verdict(&windows, utc("2026-01-10T12:00:00")) else { panic!("open") };
    assert_eq!(why, "no Allow window is on");
}

#[test]
fn deny_wins_and_verdicts_are_followed_over_several_windows() {
    let windows = [
        allow("FREQ=DAILY", "2026-01-01T08:00:00", 4, "UTC"),
        deny("FREQ=WEEKLY;BYDAY=MO", "2026-01-01T07:00:00", 2, "UTC"),
        deny("FREQ=MONTHLY;BYMONTHDAY=5", "2026-01-01T09:00:00", 30, "UTC"),
    ];
    for (now, expected) in [
        ("2026-01-03T08:00:00", "open"),
        ("2026-01-04T12:00:00", "2026-01-07T08:00:00"), // Night, Monday, the fifth until the sixth at 15, night.
        ("2026-01-05T08:00:00", "2026-01-07T08:00:00"),
        ("2026-01-12T08:00:00", "2026-01-12T09:00:00"),
    ] {
        assert_eq!(at(&windows, now), expected, "{now}");
    }
}

#[test]
fn times_that_clocks_leave_out_or_show_twice_count_once() {
    let windows = [deny("FREQ=DAILY", "2026-03-01T02:30:00", 1, "Europe/Berlin")];
    // 02:30 is not there on 29 March: by the offset before, it is 01:30 UTC.
    assert_eq!(at(&windows, "2026-03-29T01:29:59"), "open");
    assert_eq!(at(&windows, "2026-03-29T01:30:00"), "2026-03-29T02:30:00");
    // On 25 October it is there at 00:30 and at 01:30 UTC: the first counts.
    assert_eq!(at(&windows, "2026-10-25T00:30:00"), "2026-10-25T01:30:00");
    assert_eq!(at(&windows, "2026-10-25T01:30:00"), "open");
    // Hours are counted as they pass: no hole in what is on without end.
    let hourly = [deny("FREQ=HOURLY", "2026-01-01T00:00:00", 1, "Europe/Berlin")];
    for quarters in 0..20 {
        let now = utc("2026-10-24T22:00:00") + Duration::from_secs(quarters * 900);
        assert!(matches!(verdict(&hourly, now), WindowVerdict::Shut { .. }), "{}", text(now));
    }
    // Samoa had no 30 December 2011.
    let skipped = [deny("FREQ=DAILY", "2011-12-01T00:00:00", 1, "Pacific/Apia")];
    assert_eq!(at(&skipped, "2011-12-29T10:30:00"), "2011-12-29T11:00:00");
    assert_eq!(at(&skipped, "2011-12-30T10:30:00"), "2011-12-30T11:00:00");
}

#[test]
fn months_end_where_they_end() {
    let last = [deny("FREQ=MONTHLY;BYMONTHDAY=-1", "2024-01-31T00:00:00", 24, "UTC")];
    for (now, expected) in [
        ("2024-02-28T12:00:00", "open"),
        ("2024-02-29T12:00:00", "2024-03-01T00:00:00"),
        ("2026-02-28T12:00:00", "2026-03-01T00:00:00"),
        ("2026-04-30T00:00:00", "2026-05-01T00:00:00"),
    ] {
        assert_eq!(at(&last, now), expected, "{now}");
    }
    let on_31st = [deny("FREQ=MONTHLY", "2026-01-31T00:00:00", 24, "UTC")];
    assert_eq!(at(&on_31st, "2026-02-28T12:00:00"), "open", "a month without that day is left out");
    assert_eq!(at(&on_31st, "2028-03-31T12:00:00"), "2028-04-01T00:00:00");
    let last_friday = [deny("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-01T16:00:00", 8, "UTC")];
    assert_eq!(at(&last_friday, "2030-05-31T16:00:00"), "2030-06-01T00:00:00");
    let leap = [deny("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "1970-01-01T00:00:00", 24, "UTC")];
    assert_eq!(at(&leap, "2028-02-29T23:00:00"), "2028-03-01T00:00:00");
    assert_eq!(
        at(&[allow("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "1970-01-01T00:00:00", 24, "UTC")], "2028-03-01T00:00:00"),
        "2032-02-29T00:00:00"
    );
}

#[test]
fn occurrences_may_last_days() {
    let freeze = [deny("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=20", "2020-01-01T00:00:00", 16 * 24, "UTC")];
    assert_eq!(at(&freeze, "2026-12-19T23:59:59"), "open");
    assert_eq!(at(&freeze, "2027-01-04T23:59:59"), "2027-01-05T00:00:00");
    assert_eq!(at(&freeze, "2027-01-05T00:00:00"), "open");
    let year = [deny("FREQ=YEARLY;INTERVAL=2", "2020-03-01T00:00:00", 366 * 24, "UTC")];
    assert_eq!(at(&year, "2027-02-28T00:00:00"), "2027-03-02T00:00:00");
    assert_eq!(at(&year, "2027-03-02T00:00:00"), "open");
}

#[test]
fn intervals_count_from_the_start_however_long_ago_it_was() {
    for (rule, start, on, off) in [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", "2000-01-01T00:00:00", "2026-01-06T01:00:00", "2026-01-13T01:00:00"),
        ("FREQ=DAILY;INTERVAL=3", "2000-01-01T00:00:00", "2026-01-02T01:00:00", "2026-01-03T01:00:00"),
        // Taken up within a week, the second of its days would be another.
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=2", "2026-01-06T00:00:00", "2026-01-14T01:00:00", "2026-01-16T01:00:00"),
        ("FREQ=HOURLY;INTERVAL=5", "2026-01-01T00:00:00", "2026-01-02T01:30:00", "2026-01-02T00:30:00"),
        ("FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=1", "2000-01-01T00:00:00", "2025-01-01T01:30:00", "2025-02-01T01:30:00"),
        ("FREQ=YEARLY;INTERVAL=3;BYDAY=1MO", "2000-01-01T00:00:00", "2024-01-01T01:30:00", "2025-01-06T01:30:00"),
    ] {
        let hours = if rule.contains("HOURLY") { 1 } else { 2 };
        let windows = [deny(rule, start, hours, "UTC")];
        assert_ne!(at(&windows, on), "open", "{rule} {on}");
        assert_eq!(at(&windows, off), "open", "{rule} {off}");
    }
}

#[test]
fn rules_may_end() {
    let twice = [allow("FREQ=DAILY;COUNT=2", "2026-01-01T00:00:00", 1, "UTC")];
    assert_eq!(at(&twice, "2026-01-01T12:00:00"), "2026-01-02T00:00:00");
    assert_eq!(at(&twice, "2026-01-02T00:30:00"), "open");
    assert_eq!(at(&twice, "2026-01-02T01:00:00"), "never");
    for (until, last) in [
        ("20260103", "2026-01-03T09:00:00"),
        ("20260103T100000", "2026-01-03T09:00:00"),
        ("20260103T090000Z", "2026-01-03T09:00:00"),
        ("20260103T085959Z", "2026-01-02T09:00:00"),
    ] {
        let windows = [deny(&format!("FREQ=DAILY;UNTIL={until}"), "2026-01-01T10:00:00", 1, "Europe/Berlin")];
        assert_ne!(at(&windows, last), "open", "{until}");
        let next = text(utc(last) + Duration::from_secs(86_400));
        assert_eq!(at(&windows, &next), "open", "{until}");
    }
}

#[test]
fn what_is_always_on_has_an_end_to_look_again_at() {
    let windows = [deny("FREQ=DAILY", "1970-01-01T00:00:00", 24, "UTC")];
    let WindowVerdict::Shut { until: Some(until), .. } = verdict(&windows, utc("2026-01-01T00:00:00")) else {
        panic!("shut until some time")
    };
    assert!(until > utc("2026-01-02T00:00:00"));
}

#[test]
fn rules_are_checked() {
    for (rule, expected) in [
        ("", "The property \"FREQ\" wasn't found, and it is required"),
        ("BYDAY=SA", "The property \"FREQ\" wasn't found, and it is required"),
        ("WEEKLY", "\"WEEKLY\" is no part of a rule (a part is KEY=VALUE)"),
        ("RRULE:FREQ=DAILY", "unknown key \"RRULE:FREQ\" (leave out RRULE:)"),
        ("FREQ=DAILY;BYDAYS=SA", "unknown key \"BYDAYS\" (did you mean \"BYDAY\"?)"),
        ("FREQ=DAILLY", "\"DAILLY\" is not a valid frequency"),
        (
            "FREQ=SECONDLY",
            "FREQ=SECONDLY is too often for a window (FREQ is one of HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY)",
        ),
        (
            "FREQ=MINUTELY",
            "FREQ=MINUTELY is too often for a window (FREQ is one of HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY)",
        ),
        ("FREQ=DAILY;BYMINUTE=0,30", "BYMINUTE has 2 values, 1 is allowed (a window starts once an hour at most)"),
        ("FREQ=DAILY;BYSECOND=0,1,2", "BYSECOND has 3 values, 1 is allowed (a window starts once an hour at most)"),
        ("FREQ=WEEKLY;BYDAY=2MO", "numbers in BYDAY mean nothing with FREQ=WEEKLY"),
        (
            "FREQ=WEEKLY;BYDAY=SAT",
            "\"SAT\" are no days (days are MO, TU, WE, TH, FR, SA, SU; with a number: 1MO, -1FR)",
        ),
        (
            "FREQ=WEEKLY;BYDAY=XX",
            "\"XX\" is not a valid weekday. Valid values are \"MO\", \"TU\", \"WE\", \"TH\", \"FR\", \"SA\" and \"SU\"",
        ),
        (
            "FREQ=DAILY;BYHOUR=24",
            "\"24\" is not a valid BYHOUR value. Expected a comma-separated list of values in range 0..=23, e.g. \"1,3,4\"",
        ),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101", "COUNT and UNTIL cannot stand together"),
        (
            "FREQ=DAILY;UNTIL=2027-01-01",
            "UNTIL=2027-01-01 is no time (write 20261231T235959Z, 20261231T235959 for local time, or 20261231)",
        ),
        ("FREQ=DAILY;UNTIL=20270101;UNTIL=20270101", "UNTIL stands twice"),
        ("FREQ=DAILY;UNTIL=20250101", "the rule has no occurrence (with start 2026-01-01T09:30:00)"),
        ("FREQ=DAILY;INTERVAL=0", "the rule has no occurrence (with start 2026-01-01T09:30:00)"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "the rule has no occurrence (with start 2026-01-01T09:30:00)"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "the rule has no occurrence (with start 2026-01-01T09:30:00)"),
        ("FREQ=YEARLY;COUNT=22", "COUNT reaches more than 20 years from the start"),
        ("FREQ=HOURLY;COUNT=4000000000", "COUNT reaches more than 20 years from the start"),
    ] {
        assert_eq!(refused(rule), expected, "{rule}");
    }
}

fn rules() -> impl Strategy<Value = String> {
    let frequency = prop::sample::select(vec!["HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]);
    let interval = prop_oneof![3 => Just(1_u16), 2 => 1..5_u16, 1 => any::<u16>()];
    let parts = [
        "BYDAY=SA,SU",
        "BYDAY=MO",
        "BYDAY=-1FR",
        "BYMONTH=2,12",
        "BYMONTHDAY=-1",
        "BYMONTHDAY=29,31",
        "BYHOUR=2",
        "BYHOUR=0,8,23",
        "BYMINUTE=30",
        "BYSECOND=59",
        "BYSETPOS=-1",
        "BYSETPOS=1",
        "BYYEARDAY=-1,100",
        "BYWEEKNO=1,53",
        "BYWEEKNO=-1",
        "WKST=SU",
        "COUNT=7",
        "UNTIL=20270601",
        "UNTIL=20400101T000000Z",
    ];
    (frequency, interval, prop::sample::subsequence(parts.to_vec(), 0..3))
        .prop_map(|(frequency, interval, parts)| format!("FREQ={frequency};INTERVAL={interval};{}", parts.join(";")))
}

fn windows() -> impl Strategy<Value = Option<Arc<PromotionWindow>>> {
    let zone = prop::sample::select(vec![Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Pacific__Apia]);
    let hours = prop_oneof![1..30_u64, 1..366 * 24_u64];
    (any::<bool>(), rules(), 0..1_800_000_000_i64, hours, zone).prop_map(|(allow, rule, start, hours, zone)| {
        let kind = if allow { WindowKind::Allow } else { WindowKind::Deny };
        let start = DateTime::from_timestamp(start, 0)?.naive_utc();
        PromotionWindow::new(kind, &rule, start, Duration::from_secs(hours * 3600), zone).ok().map(Arc::new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is shut until an instant is shut at every instant before.
    #[test]
    fn shut_until_is_kept(
        windows in prop::collection::vec(windows(), 1..4),
        now in 0..2_000_000_000_u64,
        samples in prop::collection::vec(any::<u64>(), 8),
    ) {
        let windows: Vec<_> = windows.into_iter().flatten().collect();
        if let WindowVerdict::Shut { until, .. } = verdict(&windows, Duration::from_secs(now)) {
            let end = until.map_or(now + 1_000_000_000, |until| until.as_secs());
            prop_assert!(end > now);
            let samples = samples.iter().map(|sample| now + sample % (end - now)).chain([end - 1]).map(Duration::from_secs);
            for sample in samples {
                let shut = matches!(verdict(&windows, sample), WindowVerdict::Shut { .. });
                prop_assert!(shut, "at {} before {}", text(sample), text(Duration::from_secs(end)));
            }
        }
    }

    /// A rule taken up late has the same occurrences as from its start.
    #[test]
    fn where_a_rule_is_taken_up_makes_no_difference(rule in rules(), start in 0..1_800_000_000_i64, later in 0..100_000_000_i64) {
        let start = DateTime::from_timestamp(start, 0).expect("in range").naive_utc();
        if let Ok(recurrence) = Recurrence::new(&rule, start, Tz::UTC) {
            let lower = start + TimeDelta::seconds(later);
            let whole: Vec<_> = recurrence.from(start).take(30_000).skip_while(|at| *at < lower).take(5).collect();
            let taken_up: Vec<_> = recurrence.from(lower).take(whole.len()).collect();
            prop_assert_eq!(taken_up, whole);
        }
    }

    /// Whatever stands there, reading it ends, and says yes or no.
    #[test]
    fn any_rule_is_read(text in "(FREQ=(HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY))(;(BY(DAY|MONTHDAY|YEARDAY|WEEKNO|MONTH|SETPOS|HOUR)|INTERVAL|COUNT|WKST)=-?[0-9]{1,3}(MO|SU)?){0,4}") {
        let read = PromotionWindow::new(WindowKind::Deny, &text, local("2026-01-31T23:59:59"), PromotionWindow::MAX, Tz::UTC);
        if let Ok(window) = read {
            let _ = verdict(&[Arc::new(window)], utc("2031-05-05T00:00:00"));
        }
    }
}
