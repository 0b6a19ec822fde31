//! A running training as JSON lines.

use kiln::{Event, Observer};

use crate::output::say;

/// Prints each event as one line of JSON.
pub(crate) struct Json;

impl Observer for Json {
    fn observe(&mut self, event: &Event) {
        say(&serde_json::to_string(event).expect("an event is plain data"));
    }
}
