//! Losses that are noticed at the desk; those of the target are [`leakscope_session::losses::Loss`].

/// A reason for which data is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeskLoss {
    /// Records of the ring torn by a producer that had been given up.
    RingTorn,
    /// Records of the ring whose producer has died, or was given up.
    RingSkipped,
    /// Entries of the session's tables that cannot be true, left out.
    EntriesDamaged,
    /// Live things under `[other stacks]` because there were too many rows.
    RowsFull,
    /// Stacks that are not kept apart in this snapshot: their sums are under `[other stacks]`.
    StacksMerged,
    /// Frames of this snapshot that are shown as `[truncated]` because there were too many different ones.
    FramesFull,
    /// Snapshots before this one that could not be written.
    SnapshotsUnwritten,
    /// Lines of the timeline before this snapshot that could not be written.
    TimelineUnwritten,
}

impl DeskLoss {
    /// Every reason.
    pub const ALL: [DeskLoss; 8] = [
        DeskLoss::RingTorn,
        DeskLoss::RingSkipped,
        DeskLoss::EntriesDamaged,
        DeskLoss::RowsFull,
        DeskLoss::StacksMerged,
        DeskLoss::FramesFull,
        DeskLoss::SnapshotsUnwritten,
        DeskLoss::TimelineUnwritten,
    ];

    /// The name in profiles, JSON and reports.
    pub fn name(self) -> &'static str {
        match self {
            DeskLoss::RingTorn => "ring_torn",
            DeskLoss::RingSkipped => "ring_skipped",
            DeskLoss::EntriesDamaged => "entries_damaged",
            DeskLoss::RowsFull => "rows_full",
            DeskLoss::StacksMerged => "stacks_merged",
            DeskLoss::FramesFull => "frames_full",
            DeskLoss::SnapshotsUnwritten => "snapshots_unwritten",
            DeskLoss::TimelineUnwritten => "timeline_unwritten",
        }
    }
}
