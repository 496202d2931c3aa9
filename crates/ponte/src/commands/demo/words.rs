//! Every word of the demo's view and summary, in one place.

pub const TITLE: &str = "ponte demo";
pub const COMPANY: &str = "Lucky Shrub, a plant shop";
pub const SHORT_COMPANY: &str = "Lucky Shrub";
pub const FLOW: &str = "FLOW";
pub const COLUMNS: [&str; 3] = ["total", "/min", "last minute"];
pub const ROWS: [&str; 4] = ["In", "Out", "Statuses", "To CRM"];
pub const LAG: &str = "LAG 50/95";
pub const LAGS: [&str; 3] = ["in→stored", "in→CRM", "out→WhatsApp"];
pub const QUEUES: &str = "QUEUES";
pub const QUEUE: [&str; 4] = ["journal", "send", "media", "CRM"];
pub const TROUBLE: &str = "TROUBLE";
pub const TROUBLES: [&str; 5] = ["retried", "unclear", "slowed", "refused", "CRM"];
pub const DEAD: &str = "dead letters";
pub const LATEST: &str = "LATEST";
pub const PEOPLE: [&str; 2] = ["people", "threads"];
pub const WHERE: &str = "WHERE TO LOOK NEXT";
pub const STOP: &str = "Ctrl-C stops and counts";
pub const DRAINING: &str = "draining, Ctrl-C: count now";
pub const STARTING: &str = "starting: simulators, database, server …";
pub const KEPT: &str = "kept in";
pub const NOT_DRAINED: &str = "not everything was done in time; what is under way waits in the database";
pub const IN_CRM: &str = "CRM ✓";
pub const LOST: &str = "lost";
pub const DOUBLED: &str = "doubled";

/// What a state looks like.
pub fn state(word: &str) -> &'static str {
    match word {
        "received" => "received",
        "queued" => "waiting",
        "sending" => "sending",
        "unknown" => "unclear, asking",
        "accepted" => "accepted",
        "sent" => "✓",
        "delivered" => "✓✓",
        "read" => "✓✓ read",
        "played" => "✓✓ played",
        "failed" => "✗ failed",
        "refused" => "✗ refused",
        "dead" => "✗ given up",
        _ => "?",
    }
}
