//! The arithmetic of a rollout: how many replicas may be created and how many must leave now.
//!
//! The rules are the Kubernetes deployment controller's (`RollingUpdate`): it never has more than
//! `desired + surge` replicas and never fewer than `desired - unavailable` that serve. It knows only
//! numbers; which replica it is, and whether its successor can be created, is decided elsewhere.

use crate::desired::Amount;

/// How many replicas there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many are wanted.
    pub desired: u32,
    /// How many more than wanted there may be.
    pub surge: u32,
    /// How many fewer than wanted may serve.
    pub unavailable: u32,
    /// Replicas of the wanted template, also those being created.
    pub new: u32,
    /// Those of them that serve.
    pub new_serving: u32,
    /// Replicas of other templates.
    pub old: u32,
    /// Those of them that serve.
    pub old_serving: u32,
}

/// How many replicas move now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moves {
    /// So many of the wanted template are created.
    pub create: u32,
    /// So many of the wanted template leave: there are too many.
    pub leave_new: u32,
    /// At most so many of those serve: one that is still being made is no reason to lose one that serves.
    pub leave_new_serving: u32,
    /// So many old ones that do not serve leave.
    pub leave_old_broken: u32,
    /// So many old ones that serve leave.
    pub leave_old: u32,
}

/// Resolves `maxSurge` and `maxUnavailable`: a share of surge is rounded up, of unavailable rounded
/// down; if both come to nothing, one may be unavailable, or nothing could ever move.
pub fn bounds(surge: Amount, unavailable: Amount, desired: u32) -> (u32, u32) {
    let share = |percent: u32| u64::from(percent) * u64::from(desired);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let surge = match surge {
        Amount::Count(count) => count,
        Amount::Percent(percent) => small(share(percent).div_ceil(100)),
    };
    let unavailable = match unavailable {
        Amount::Count(count) => count,
        Amount::Percent(percent) => small(share(percent) / 100),
    };
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable.min(desired.max(1))) }
}

/// Returns what may move now.
///
/// Worked example (10 wanted, surge 3, unavailable 2, all old and serving): 3 are created, 13 in all.
/// At least 8 must serve, the 3 new ones do not yet, so 13 - 8 - 3 = 2 old ones leave. Now there are 11,
/// so 2 more are created. When those 5 serve, 13 serve and 5 old ones leave; and so on.
pub fn moves(counts: Counts) -> Moves {
    let Counts { desired, surge, unavailable, new, new_serving, old, old_serving } = counts;
    let mut moves = Moves::default();
    if new > desired {
        moves.leave_new = new - desired;
        moves.leave_new_serving = (new_serving + old_serving).saturating_sub(desired).min(moves.leave_new).min(new_serving);
    } else {
        moves.create = (desired + surge).saturating_sub(new + old).min(desired - new);
    }
    if old == 0 {
        return moves;
    }
    let new = new + moves.create - moves.leave_new;
    let new_serving = new_serving - moves.leave_new_serving;
    let floor = desired.saturating_sub(unavailable);
    // New replicas that do not serve yet may still turn out broken: they count as missing.
    let may_leave = (new + old).saturating_sub(floor + new.saturating_sub(new_serving));
    if may_leave == 0 {
        return moves;
    }
    // Broken old ones first: otherwise they would block the rollout that mends them.
    moves.leave_old_broken = (old - old_serving).min(may_leave);
    moves.leave_old = (new_serving + old_serving).saturating_sub(floor).min(old_serving);
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(desired: u32, surge: u32, unavailable: u32, new: (u32, u32), old: (u32, u32)) -> Counts {
        Counts { desired, surge, unavailable, new: new.0, new_serving: new.1, old: old.0, old_serving: old.1 }
    }

    #[test]
    fn shares_of_surge_round_up_and_of_unavailable_down() {
        // Kubernetes, `ResolveFenceposts`.
        for ((surge, unavailable, desired), expected) in [
            ((Amount::Percent(25), Amount::Percent(25), 10), (3, 2)),
            ((Amount::Percent(25), Amount::Percent(25), 1), (1, 0)),
            ((Amount::Percent(0), Amount::Percent(1), 2), (0, 1)),
            ((Amount::Percent(1), Amount::Percent(25), 1), (1, 0)),
            ((Amount::Count(0), Amount::Percent(50), 1), (0, 1)),
            ((Amount::Count(2), Amount::Count(0), 3), (2, 0)),
            ((Amount::Percent(100), Amount::Percent(100), 4), (4, 4)),
            ((Amount::Count(1), Amount::Count(9), 3), (1, 3)),
        ] {
            assert_eq!(bounds(surge, unavailable, desired), expected, "{surge:?} {unavailable:?} of {desired}");
        }
    }

    #[test]
    fn the_worked_example() {
        let start = moves(counts(10, 3, 2, (0, 0), (10, 10)));
        assert_eq!(start, Moves { create: 3, leave_old: 2, ..Moves::default() });
        let second = moves(counts(10, 3, 2, (3, 0), (8, 8)));
        assert_eq!(second, Moves { create: 2, ..Moves::default() });
        let third = moves(counts(10, 3, 2, (5, 5), (8, 8)));
        assert_eq!(third, Moves { create: 0, leave_old: 5, ..Moves::default() });
    }

    #[test]
    fn rollout_table() {
        for (counts, expected) in [
            // Nothing to do.
            (counts(3, 1, 0, (3, 3), (0, 0)), Moves::default()),
            // First deployment: all at once.
            (counts(3, 1, 0, (0, 0), (0, 0)), Moves { create: 3, ..Moves::default() }),
            // One in, then one out.
            (counts(2, 1, 0, (0, 0), (2, 2)), Moves { create: 1, ..Moves::default() }),
            (counts(2, 1, 0, (1, 0), (2, 2)), Moves::default()),
            (counts(2, 1, 0, (1, 1), (2, 2)), Moves { leave_old: 1, ..Moves::default() }),
            // Without surge: one out, then one in.
            (counts(1, 0, 1, (0, 0), (1, 1)), Moves { leave_old: 1, ..Moves::default() }),
            (counts(1, 0, 1, (0, 0), (0, 0)), Moves { create: 1, ..Moves::default() }),
            // A broken old replica makes room, a serving one does not.
            (counts(2, 1, 0, (1, 0), (2, 1)), Moves::default()),
            (counts(2, 0, 1, (1, 0), (1, 0)), Moves::default()),
            (counts(3, 0, 1, (0, 0), (3, 2)), Moves { leave_old_broken: 1, ..Moves::default() }),
            // Scaling down.
            (counts(2, 1, 0, (4, 4), (0, 0)), Moves { leave_new: 2, leave_new_serving: 2, ..Moves::default() }),
            (counts(2, 1, 0, (4, 2), (0, 0)), Moves { leave_new: 2, ..Moves::default() }),
            (counts(0, 1, 0, (2, 2), (0, 0)), Moves { leave_new: 2, leave_new_serving: 2, ..Moves::default() }),
            // A new template in the middle of a rollout: the half-finished one is old at once.
            (counts(4, 1, 1, (0, 0), (5, 3)), Moves { leave_old_broken: 2, ..Moves::default() }),
            // To zero with old ones left.
            (counts(0, 1, 0, (0, 0), (2, 2)), Moves { leave_old: 2, ..Moves::default() }),
        ] {
            assert_eq!(moves(counts), expected, "{counts:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn floor_and_ceiling_hold(
            desired in 0u32..20, surge in 0u32..6, unavailable in 0u32..6,
            new in 0u32..25, new_serving in 0u32..25, old in 0u32..25, old_serving in 0u32..25,
        ) {
            let (surge, unavailable) = bounds(Amount::Count(surge), Amount::Count(unavailable), desired);
            let counts = Counts { desired, surge, unavailable, new, new_serving: new_serving.min(new), old, old_serving: old_serving.min(old) };
            let moves = moves(counts);
            if moves.create > 0 {
                assert!(new + old + moves.create <= desired + surge);
            }
            let serving = counts.new_serving + counts.old_serving;
            assert!(serving - moves.leave_old - moves.leave_new_serving >= serving.min(desired - unavailable.min(desired)));
            assert!(moves.leave_old + moves.leave_old_broken <= old);
            assert!(moves.leave_new <= new);
        }
    }
}
