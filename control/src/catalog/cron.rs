//! Pure. When scheduled events fire.
//!
//! **Owns** cron expressions. **Must not know** who is called. **Enter at** [`Cron`].
//!
//! Five fields in UTC (minute, hour, day of month, month, day of week) with lists, ranges, steps and names, and Quartz's
//! `L`, `W` and `#`. Days of the week count from 1 = Sunday, as on Cloudflare. When both day fields are restricted, a day
//! that fits either fires.

use std::{fmt, str::FromStr};

use super::cron_field::{DayOfMonth, DayOfWeek, Set, field_set};

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: Set,
    hours: Set,
    days: Vec<DayOfMonth>,
    months: Set,
    weekdays: Vec<DayOfWeek>,
}

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cron {text:?} is invalid: {rule}")]
pub struct CronError {
    /// The expression, cut to 100 characters.
    pub text: String,
    /// The field that is wrong and what it may be.
    pub rule: String,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fail = |rule: String| CronError { text: text.chars().take(100).collect(), rule };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let rule = "use five fields: minute hour day-of-month month day-of-week";
            return Err(fail(rule.to_owned()));
        };
        if text.len() > 256 {
            return Err(fail("use at most 256 characters".to_owned()));
        }
        Ok(Self {
            text: fields.join(" "),
            minutes: field_set("minute", minute, 0, 59, &[]).map_err(fail)?,
            hours: field_set("hour", hour, 0, 23, &[]).map_err(fail)?,
            days: DayOfMonth::parse(day).map_err(fail)?,
            months: field_set("month", month, 1, 12, &MONTHS).map_err(fail)?,
            weekdays: DayOfWeek::parse(weekday, &WEEKDAYS).map_err(fail)?,
        })
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// The expression, its fields separated by single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it fires in the minute that `at_ms` (milliseconds since the Unix epoch) lies in.
    #[must_use]
    pub fn fires_at(&self, at_ms: i64) -> bool {
        let minutes = at_ms.div_euclid(60_000);
        let day = Day::from_unix_days(minutes.div_euclid(1440));
        let (hour, minute) = (minutes.rem_euclid(1440) / 60, minutes.rem_euclid(60));
        self.minutes.contains(minute) && self.hours.contains(hour) && self.fires_on(&day)
    }

    fn fires_on(&self, day: &Day) -> bool {
        let by_date = self.days.iter().any(|rule| rule.contains(day));
        let by_weekday = self.weekdays.iter().any(|rule| rule.contains(day));
        let any_date = matches!(self.days[..], [DayOfMonth::Any]);
        let any_weekday = matches!(self.weekdays[..], [DayOfWeek::Any]);
        let fits = match (any_date, any_weekday) {
            (true, true) => true,
            (true, false) => by_weekday,
            (false, true) => by_date,
            (false, false) => by_date || by_weekday,
        };
        fits && self.months.contains(day.month)
    }
}

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
    /// 1 = Sunday to 7 = Saturday.
    pub(super) weekday: i64,
    /// Days of its month, 28 to 31.
    pub(super) month_days: i64,
}

impl Day {
    /// Howard Hinnant's `civil_from_days`.
    fn from_unix_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        // 1970-01-01 was a Thursday, the fifth day of the week.
        let weekday = (days + 4).rem_euclid(7) + 1;
        Self { month, day, weekday, month_days: days_in(year, month) }
    }

    /// The day of the week of another day of the same month.
    pub(super) fn weekday_of(&self, day: i64) -> i64 {
        (self.weekday - 1 + day - self.day).rem_euclid(7) + 1
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    fn cron(text: &str) -> Cron {
        text.parse().unwrap()
    }

    #[test]
    fn plain_fields_fire_in_their_minute_only() {
        let every_five = cron("*/5 3-4 * JAN,JUL *");
        assert!(every_five.fires_at(at("2026-07-09T03:35:59Z")));
        assert!(!every_five.fires_at(at("2026-07-09T03:36:00Z")));
        assert!(!every_five.fires_at(at("2026-08-09T03:35:00Z")));
    }

    #[test]
    fn weekdays_count_from_sunday_as_one() {
        assert!(cron("0 0 * * 1").fires_at(at("2026-11-22T00:00:00Z")));
        assert!(cron("0 0 * * SUN").fires_at(at("2026-11-22T00:00:00Z")));
        assert!(!cron("0 0 * * 1").fires_at(at("2026-11-23T00:00:00Z")));
    }

    #[test]
    fn quartz_letters_mean_last_nearest_workday_and_nth() {
        assert!(cron("0 0 L * *").fires_at(at("2028-02-29T00:00:00Z")));
        assert!(!cron("0 0 L * *").fires_at(at("2028-02-28T00:00:00Z")));
        // 2026-11-15 is a Sunday: the nearest workday is Monday the 16th.
        assert!(cron("0 0 15W * *").fires_at(at("2026-11-16T00:00:00Z")));
        assert!(!cron("0 0 15W * *").fires_at(at("2026-11-15T00:00:00Z")));
        // The last workday of November 2026 is Monday the 30th.
        assert!(cron("0 0 LW * *").fires_at(at("2026-11-30T00:00:00Z")));
        assert!(cron("0 0 * * 6L").fires_at(at("2026-11-27T00:00:00Z")));
        assert!(!cron("0 0 * * 6L").fires_at(at("2026-11-20T00:00:00Z")));
        assert!(cron("0 0 * * 2#3").fires_at(at("2026-11-16T00:00:00Z")));
        assert!(!cron("0 0 * * 2#3").fires_at(at("2026-11-09T00:00:00Z")));
    }

    #[test]
    fn either_day_field_is_enough_when_both_are_restricted() {
        let either = cron("0 0 13 * 6");
        assert!(either.fires_at(at("2026-11-13T00:00:00Z")));
        assert!(either.fires_at(at("2026-11-20T00:00:00Z")));
        assert!(!either.fires_at(at("2026-11-21T00:00:00Z")));
    }

    #[test]
    fn what_breaks_a_rule_is_refused_by_field() {
        for (text, field) in [
            ("* * * *", "five fields"),
            ("60 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day-of-month"),
            ("* * 32W * *", "day-of-month"),
            ("* * * 13 *", "month"),
            ("* * * * 8", "day-of-week"),
            ("* * * * 2#6", "day-of-week"),
            ("*/0 * * * *", "minute"),
            ("5-1 * * * *", "minute"),
            ("", "five fields"),
        ] {
            let error = text.parse::<Cron>().unwrap_err();
            assert!(error.rule.contains(field), "{text}: {error}");
        }
    }
}
