//! What a probe saw.

/// What was seen of an expectation, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbeResult {
    /// What was expected.
    Met,
    /// Something else.
    NotMet(String),
}

impl ProbeResult {
    pub(super) fn of(is_met: bool, seen: impl FnOnce() -> String) -> ProbeResult {
        if is_met { ProbeResult::Met } else { ProbeResult::NotMet(seen()) }
    }

    /// Met, if there is no complaint.
    pub(super) fn without(complaints: &[String]) -> ProbeResult {
        ProbeResult::of(complaints.is_empty(), || complaints.join("\n"))
    }
}
