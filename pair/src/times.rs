//! How long what is waited for, in milliseconds of a server at its normal speed.

/// Limits of patience. None of them is needed for safety: with any other values no acknowledged
/// write is lost either, it only takes longer or moves more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Between two signs of life.
    pub beat: u64,
    /// Without a sign of life for so long, another voter counts as gone.
    pub gone: u64,
    /// A primary's writes wait for its replica for so long before it asks to go alone.
    pub stalled: u64,
    /// A round of the register takes at most so long, else it is tried again.
    pub round: u64,
    /// A primary that has heard no majority for so long locks its readers out.
    pub lease: u64,
}

impl Default for Times {
    fn default() -> Times {
        Times { beat: 100, gone: 700, stalled: 800, round: 300, lease: 3000 }
    }
}

impl Times {
    /// All of them so many times as long: for machines that are slow.
    pub fn scaled(self, factor: u64) -> Times {
        let Times { beat, gone, stalled, round, lease } = self;
        Times {
            beat: beat * factor,
            gone: gone * factor,
            stalled: stalled * factor,
            round: round * factor,
            lease: lease * factor,
        }
    }
}
