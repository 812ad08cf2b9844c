"""Virtual machines: their settings, their states, and the keeper of each."""
