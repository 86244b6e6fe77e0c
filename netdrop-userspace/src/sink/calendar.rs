//! Seconds since the epoch and UTC's calendar, over all the years that a protobuf timestamp may have (1 to 9999).

/// A second of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i32,
    /// From 1.
    pub(crate) month: u8,
    /// From 1.
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
}

const DAY: i64 = 86_400;
/// Days from March 1st of year 0 to the epoch.
const EPOCH: i64 = 719_468;
/// Days of 400 years.
const ERA: i64 = 146_097;

impl Civil {
    /// The second so many after the epoch. Days are counted in years that begin in March, so that a leap day is the last one.
    pub(crate) fn from_unix(seconds: i64) -> Self {
        let (days, clock) = (seconds.div_euclid(DAY) + EPOCH, seconds.rem_euclid(DAY));
        let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: small(year + era * 400 + i64::from(month <= 2)),
            month: small(month),
            day: small(of_year - (153 * from_march + 2) / 5 + 1),
            hour: small(clock / 3600),
            minute: small(clock / 60 % 60),
            second: small(clock % 60),
        }
    }

    /// Seconds from the epoch; `None`: the calendar has no such second.
    pub(crate) fn to_unix(self) -> Option<i64> {
        if self.hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (i64::from(self.month) + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        let day = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        let clock = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let seconds = (era * ERA + day - EPOCH) * DAY + clock;
        // February 30th comes back as another day.
        (Self::from_unix(seconds) == self).then_some(seconds)
    }

    /// From 0, Monday.
    pub(crate) fn weekday(seconds: i64) -> usize {
        small::<u8>((seconds.div_euclid(DAY) + 3).rem_euclid(7)).into()
    }
}

/// Numbers that were cut to their range before.
fn small<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::Offset;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_protobufs_time() {
        let first = Civil { year: 1, month: 1, day: 1, ..Civil::default() };
        assert_eq!(Civil::from_unix(-62_135_596_800), first);
        let last = Civil { year: 9999, month: 12, day: 31, hour: 23, minute: 59, second: 59 };
        assert_eq!(Civil::from_unix(253_402_300_799), last);
        assert_eq!(last.to_unix(), Some(253_402_300_799));
        let none = Civil { year: 2025, month: 2, day: 29, ..Civil::default() };
        assert_eq!(none.to_unix(), None);
        assert_eq!(Civil { year: 2024, ..none }.to_unix(), Some(1_709_164_800));
        assert_eq!(Civil { month: 13, ..last }.to_unix(), None);
    }

    proptest! {
        #[test]
        fn as_another_calendar_has_it(seconds in -62_135_596_800i64..253_000_000_000) {
            let c = Civil::from_unix(seconds);
            let t = Offset::UTC.to_datetime(Timestamp::from_second(seconds).unwrap());
            prop_assert_eq!(
                (c.year, i64::from(c.month), i64::from(c.day), i64::from(c.hour), i64::from(c.minute), i64::from(c.second)),
                (i32::from(t.year()), i64::from(t.month()), i64::from(t.day()), i64::from(t.hour()), i64::from(t.minute()), i64::from(t.second()))
            );
            prop_assert_eq!(c.to_unix(), Some(seconds));
            prop_assert_eq!(Civil::weekday(seconds), usize::try_from(t.weekday().to_monday_zero_offset()).unwrap());
        }
    }
}
