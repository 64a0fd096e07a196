//! The text form of the budget for calls to the platform.

use std::num::NonZeroU32;

/// The most calls per app, tenant and API; a window without a number has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallBudget {
    /// Calls in any second.
    pub per_second: Option<NonZeroU32>,
    /// Calls in any minute.
    pub per_minute: Option<NonZeroU32>,
}

/// Reads `50/s 1000/min`, in any order, either one alone, or `off`, which is `None`.
pub(super) fn call_budget(text: &str) -> Result<Option<CallBudget>, String> {
    if text == "off" {
        return Ok(None);
    }
    let refuse = || format!("{text:?} is not a budget of calls; write N/s, N/min, both, or off");
    let mut budget = CallBudget { per_second: None, per_minute: None };
    for part in text.split([' ', ',']).filter(|part| !part.is_empty()) {
        let (count, window) = part.split_once('/').ok_or_else(refuse)?;
        let limit = match window {
            "s" => &mut budget.per_second,
            "min" => &mut budget.per_minute,
            _ => return Err(refuse()),
        };
        let is_repeated = limit.replace(count.parse().map_err(|_| refuse())?).is_some();
        if is_repeated {
            return Err(refuse());
        }
    }
    let is_empty = budget.per_second.is_none() && budget.per_minute.is_none();
    if is_empty { Err(refuse()) } else { Ok(Some(budget)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_name_one_or_both_windows() {
        let budget = |per_second, per_minute| {
            Ok(Some(CallBudget { per_second: NonZeroU32::new(per_second), per_minute: NonZeroU32::new(per_minute) }))
        };
        assert_eq!(call_budget("50/s 1000/min"), budget(50, 1000));
        assert_eq!(call_budget("1000/min,50/s"), budget(50, 1000));
        assert_eq!(call_budget("5/s"), budget(5, 0));
        assert_eq!(call_budget("off"), Ok(None));
        for bad in ["", "50", "50/h", "0/s", "-1/s", "5/s 6/s", "5/s off", "99999999999/s", "OFF"] {
            assert!(call_budget(bad).is_err(), "{bad}");
        }
    }
}
