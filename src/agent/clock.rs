//! Whether the host's clock was set: by how much it and the time that really passed went apart.
//!
//! Labels and the engine speak in the time of the host's clock, so the agent does, too. Nothing that it
//! counts may be cut short or drawn out because somebody sets that clock.

use std::time::{Duration, Instant};

use crate::time::Time;

/// Less is the pace of two clocks, and harms nobody.
const NOTICED: Duration = Duration::from_secs(1);

/// What two clocks said when they were last compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    wall: Time,
    steady: Instant,
}

impl Clock {
    /// Begins to compare.
    pub(super) fn new(wall: Time, steady: Instant) -> Self {
        Clock { wall, steady }
    }

    /// Returns by how many milliseconds the host's clock was set since the last comparison, if it was.
    pub(super) fn compare(&mut self, wall: Time, steady: Instant) -> Option<i64> {
        let expected = self.wall + steady.saturating_duration_since(self.steady);
        *self = Clock { wall, steady };
        let by = wall.0.saturating_sub(expected.0);
        (u128::from(by.unsigned_abs()) >= NOTICED.as_millis()).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_told_from_time_that_passed() {
        let (wall, steady) = (Time(1_767_225_600_000), Instant::now());
        let mut clock = Clock::new(wall, steady);
        let later = |seconds: u64| steady + Duration::from_secs(seconds);
        assert_eq!(clock.compare(wall + Duration::from_secs(300), later(300)), None);
        assert_eq!(clock.compare(wall + Duration::from_millis(310_400), later(310)), None, "a clock that is slewed");
        assert_eq!(clock.compare(Time(wall.0 - 3_600_000 + 311_400), later(311)), Some(-3_600_000));
        assert_eq!(clock.compare(Time(wall.0 - 3_600_000 + 312_400), later(312)), None, "it was set once");
        assert_eq!(clock.compare(Time(wall.0 + 313_400), later(313)), Some(3_600_000));
    }
}
