//! Pure. The fields of a cron expression.
//!
//! **Owns** the grammar of one field. **Must not know** the order of fields. **Enter at** [`field_set`].

use super::cron::Day;

/// The values of a field, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set(u64);

impl Set {
    pub(super) fn contains(self, value: i64) -> bool {
        (0..64).contains(&value) && self.0 & (1 << value) != 0
    }
}

/// Parses lists of values, ranges and steps. `names[0]` stands for `min`.
pub(super) fn field_set(field: &str, text: &str, min: u8, max: u8, names: &[&str]) -> Result<Set, String> {
    let mut set = 0;
    for part in text.split(',') {
        set |= part_bits(part, min, max, names).ok_or_else(|| rule(field, part, min, max))?;
    }
    Ok(Set(set))
}

fn rule(field: &str, part: &str, min: u8, max: u8) -> String {
    format!("{field} {part:?} is not a value, range or step within {min} to {max}")
}

fn part_bits(part: &str, min: u8, max: u8, names: &[&str]) -> Option<u64> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, number(step)?),
        None => (part, 1),
    };
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (value(from, min, max, names)?, value(to, min, max, names)?),
        None if range == "*" || range == "?" => (min, max),
        // `5/15` counts on to the end of the field.
        None if part.contains('/') => (value(range, min, max, names)?, max),
        None => (value(range, min, max, names)?, value(range, min, max, names)?),
    };
    if step == 0 || step > max || from > to {
        return None;
    }
    Some((from..=to).step_by(usize::from(step)).fold(0, |bits, value| bits | 1 << value))
}

fn value(text: &str, min: u8, max: u8, names: &[&str]) -> Option<u8> {
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let value = match named {
        Some(place) => min + u8::try_from(place).ok()?,
        None => number(text)?,
    };
    (min..=max).contains(&value).then_some(value)
}

fn number(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// One rule of the day-of-month field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayOfMonth {
    /// `*`
    Any,
    /// Values, ranges and steps.
    In(Set),
    /// `L` and `L-n`: this many days before the last.
    FromLast(u8),
    /// `15W`: the workday nearest to it, in the same month.
    NearestWorkday(u8),
    /// `LW`
    LastWorkday,
}

impl DayOfMonth {
    pub(super) fn parse(text: &str) -> Result<Vec<Self>, String> {
        if text == "*" || text == "?" {
            return Ok(vec![Self::Any]);
        }
        text.split(',').map(|part| Self::part(part).ok_or_else(|| rule("day-of-month", part, 1, 31))).collect()
    }

    fn part(part: &str) -> Option<Self> {
        let upper = part.to_ascii_uppercase();
        if upper == "LW" || upper == "WL" {
            return Some(Self::LastWorkday);
        }
        if upper == "L" {
            return Some(Self::FromLast(0));
        }
        if let Some(back) = upper.strip_prefix("L-") {
            return number(back).filter(|back| (1..=30).contains(back)).map(Self::FromLast);
        }
        if let Some(day) = upper.strip_suffix('W') {
            return value(day, 1, 31, &[]).map(Self::NearestWorkday);
        }
        part_bits(part, 1, 31, &[]).map(|bits| Self::In(Set(bits)))
    }

    pub(super) fn contains(self, day: &Day) -> bool {
        match self {
            Self::Any => true,
            Self::In(set) => set.contains(day.day),
            Self::FromLast(back) => day.day == day.month_days - i64::from(back),
            Self::NearestWorkday(target) => {
                let target = i64::from(target);
                target <= day.month_days && day.day == nearest_workday(day, target)
            }
            Self::LastWorkday => day.day == nearest_workday(day, day.month_days),
        }
    }
}

fn nearest_workday(day: &Day, target: i64) -> i64 {
    match day.weekday_of(target) {
        1 if target == day.month_days => target - 2,
        1 => target + 1,
        7 if target == 1 => target + 2,
        7 => target - 1,
        _ => target,
    }
}

/// One rule of the day-of-week field; 1 = Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayOfWeek {
    /// `*`
    Any,
    /// Values, ranges and steps.
    In(Set),
    /// `6L`: the last Friday of the month.
    Last(u8),
    /// `2#3`: the third Monday of the month.
    Nth(u8, u8),
}

impl DayOfWeek {
    pub(super) fn parse(text: &str, names: &[&str]) -> Result<Vec<Self>, String> {
        if text == "*" || text == "?" {
            return Ok(vec![Self::Any]);
        }
        text.split(',').map(|part| Self::part(part, names).ok_or_else(|| rule("day-of-week", part, 1, 7))).collect()
    }

    fn part(part: &str, names: &[&str]) -> Option<Self> {
        if let Some((day, nth)) = part.split_once('#') {
            let nth = number(nth).filter(|nth| (1..=5).contains(nth))?;
            return Some(Self::Nth(value(day, 1, 7, names)?, nth));
        }
        if let Some(day) = part.strip_suffix(['L', 'l']) {
            // A bare `L` is the week's last day.
            return if day.is_empty() { Some(Self::In(Set(1 << 7))) } else { value(day, 1, 7, names).map(Self::Last) };
        }
        part_bits(part, 1, 7, names).map(|bits| Self::In(Set(bits)))
    }

    pub(super) fn contains(self, day: &Day) -> bool {
        match self {
            Self::Any => true,
            Self::In(set) => set.contains(day.weekday),
            Self::Last(weekday) => day.weekday == i64::from(weekday) && day.day + 7 > day.month_days,
            Self::Nth(weekday, nth) => day.weekday == i64::from(weekday) && (day.day - 1) / 7 + 1 == i64::from(nth),
        }
    }
}
