"""The event stream: one ring buffer of events, and readers that are cursors in it."""
