"""The event stream: one ring of events, and readers that are cursors in it."""
