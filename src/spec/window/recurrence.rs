//! When the occurrences of a window start: RFC 5545 in local time.
//!
//! Rules run as if local time were UTC; the window that has them maps what comes out to its zone, so that daylight
//! saving time never changes which occurrences there are. What a rule costs is bounded: at most one start an hour, and
//! rules without COUNT are taken up near the time asked for, not at their start.

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use rrule::{Frequency, NWeekday, RRule, RRuleError, RRuleSet, Unvalidated};

use crate::spec::suggest;

const KEYS: [&str; 14] = [
    "FREQ",
    "UNTIL",
    "COUNT",
    "INTERVAL",
    "BYSECOND",
    "BYMINUTE",
    "BYHOUR",
    "BYDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYMONTH",
    "BYSETPOS",
    "WKST",
];

/// A rule with COUNT is written out when it is read: so far at most.
const MAX_YEARS: i32 = 20;

/// What is wrong with a rule, and what to do about it.
pub(super) type Mistake = (String, Option<String>);

/// The starts of a window's occurrences in local time, in order. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recurrence {
    starts: Starts,
    /// Whether the rule counts hours.
    pub(super) hourly: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Starts {
    Listed(Vec<NaiveDateTime>),
    Ruled { rule: Box<RRule>, start: NaiveDateTime, until: Option<NaiveDateTime> },
}

impl Recurrence {
    /// The recurrence that `text` stands for, an RRULE without that word. `zone` is where an UNTIL in UTC is looked at.
    pub(super) fn new(text: &str, start: NaiveDateTime, zone: Tz) -> Result<Self, Mistake> {
        let (rest, until) = take_until(text, zone)?;
        let rule: RRule<Unvalidated> = rest.parse().map_err(|error| in_words(&error))?;
        if rule.get_freq() > Frequency::Hourly {
            let help = Some("FREQ is one of HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY".to_owned());
            return Err((format!("FREQ={} is too often for a window", rule.get_freq()), help));
        }
        for (key, values) in [("BYMINUTE", rule.get_by_minute()), ("BYSECOND", rule.get_by_second())] {
            if values.len() > 1 {
                let help = Some("a window starts once an hour at most".to_owned());
                return Err((format!("{key} has {} values, 1 is allowed", values.len()), help));
            }
        }
        let nth = rule.get_by_weekday().iter().any(|day| matches!(day, NWeekday::Nth(..)));
        if nth && rule.get_freq() > Frequency::Monthly {
            return Err((format!("numbers in BYDAY mean nothing with FREQ={}", rule.get_freq()), None));
        }
        if rule.get_count().is_some() && until.is_some() {
            return Err(("COUNT and UNTIL cannot stand together".to_owned(), None));
        }
        let rule = rule.validate(rrule::Tz::UTC.from_utc_datetime(&start)).map_err(|error| in_words(&error))?;
        let (hourly, count) = (rule.get_freq() == Frequency::Hourly, rule.get_count());
        let ruled = Starts::Ruled { rule: Box::new(rule), start, until };
        let ruled = Self { starts: ruled, hourly };
        if ruled.from(start).next().is_none() {
            let help = Some(format!("with start {}", start.format("%Y-%m-%dT%H:%M:%S")));
            return Err(("the rule has no occurrence".to_owned(), help));
        }
        if count.is_none() {
            return Ok(ruled);
        }
        let listed: Vec<_> = ruled.from(start).take_while(|at| at.year() - start.year() <= MAX_YEARS).collect();
        if count.and_then(|count| usize::try_from(count).ok()) != Some(listed.len()) {
            return Err((format!("COUNT reaches more than {MAX_YEARS} years from the start"), None));
        }
        Ok(Self { starts: Starts::Listed(listed), hourly })
    }

    /// The starts from `lower` on.
    pub(super) fn from(&self, lower: NaiveDateTime) -> Box<dyn Iterator<Item = NaiveDateTime> + '_> {
        match &self.starts {
            Starts::Listed(starts) => {
                Box::new(starts[starts.partition_point(|start| *start < lower)..].iter().copied())
            }
            Starts::Ruled { rule, start, until } => {
                let start = rrule::Tz::UTC.from_utc_datetime(&near(rule, *start, lower));
                let set = RRuleSet::new(start).rrule(RRule::clone(rule)).limit();
                let starts = set.into_iter().map(|start| start.naive_utc()).skip_while(move |start| *start < lower);
                Box::new(starts.take_while(move |start| until.is_none_or(|until| *start <= until)))
            }
        }
    }
}

/// A start from which `rule` gives the same occurrences from `lower` on as from `start`: whole intervals later, and one
/// interval or more before `lower`, as the first may be cut short.
fn near(rule: &RRule, start: NaiveDateTime, lower: NaiveDateTime) -> NaiveDateTime {
    let interval = i64::from(rule.get_interval()).max(1);
    let skip = |passed: i64| (passed / interval - 1).max(0) * interval;
    if rule.get_count().is_some() {
        return start;
    }
    let passed = lower - start;
    let first_of = |months: i64| {
        let months = i64::from(start.year()) * 12 + i64::from(start.month0()) + months;
        let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
        NaiveDate::from_ymd_opt(i32::try_from(months.div_euclid(12)).ok()?, month, 1)
            .map(|day| day.and_time(start.time()))
    };
    let years = i64::from(lower.year()) - i64::from(start.year());
    let months = years * 12 + i64::from(lower.month0()) - i64::from(start.month0());
    let later = match rule.get_freq() {
        Frequency::Yearly if skip(years) > 0 => first_of(skip(years) * 12 - i64::from(start.month0())),
        Frequency::Monthly if skip(months) > 0 => first_of(skip(months)),
        Frequency::Yearly | Frequency::Monthly => None,
        Frequency::Weekly => start.checked_add_signed(TimeDelta::weeks(skip(passed.num_weeks()))),
        Frequency::Daily => start.checked_add_signed(TimeDelta::days(skip(passed.num_days()))),
        _ => start.checked_add_signed(TimeDelta::hours(skip(passed.num_hours()))),
    };
    later.unwrap_or(start)
}

/// `text` without its UNTIL, and the last instant that this allows, in local time. The library would read one without
/// `Z` in the zone of the machine.
fn take_until(text: &str, zone: Tz) -> Result<(String, Option<NaiveDateTime>), Mistake> {
    let (mut rest, mut until) = (Vec::new(), None);
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            return Err((format!("{part:?} is no part of a rule"), Some("a part is KEY=VALUE".to_owned())));
        };
        match key.to_ascii_uppercase().as_str() {
            "UNTIL" if until.is_some() => return Err(("UNTIL stands twice".to_owned(), None)),
            "UNTIL" => until = Some(instant(value, zone)?),
            known if !KEYS.contains(&known) => {
                let help = match key.split_once(':') {
                    Some((name, _)) => Some(format!("leave out {name}:")),
                    None => suggest::did_you_mean(known, KEYS),
                };
                return Err((format!("unknown key {key:?}"), help));
            }
            "BYDAY" if !value.split(',').all(is_day) => {
                let help = Some("days are MO, TU, WE, TH, FR, SA, SU; with a number: 1MO, -1FR".to_owned());
                return Err((format!("{value:?} are no days"), help));
            }
            _ => rest.push(part),
        }
    }
    Ok((rest.join(";"), until))
}

/// The library takes whatever stands before the two letters of a day.
fn is_day(text: &str) -> bool {
    let number = text.len().checked_sub(2).and_then(|length| text.get(..length));
    number.is_some_and(|number| number.is_empty() || number.parse::<i16>().is_ok_and(|number| number != 0))
}

fn instant(text: &str, zone: Tz) -> Result<NaiveDateTime, Mistake> {
    let local = |text: &str| {
        let digits =
            text.len() == 15 && text.bytes().enumerate().all(|(i, b)| b.is_ascii_digit() || (i, b) == (8, b'T'));
        NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok().filter(|_| digits)
    };
    let last_of_day = || local(&format!("{text}T235959"));
    let utc = || local(text.strip_suffix('Z')?).map(|utc| zone.from_utc_datetime(&utc).naive_local());
    local(text).or_else(last_of_day).or_else(utc).ok_or_else(|| {
        let help = Some("write 20261231T235959Z, 20261231T235959 for local time, or 20261231".to_owned());
        (format!("UNTIL={text} is no time"), help)
    })
}

fn in_words(error: &RRuleError) -> Mistake {
    let text = match error {
        RRuleError::ParserError(error) => error.to_string(),
        RRuleError::ValidationError(error) => error.to_string(),
        RRuleError::IterError(text) => text.clone(),
    };
    (text.trim_end_matches('.').replace('`', "\""), None)
}
