"""The hosts that one server controls: how they join and leave, are reached, and are dealt with when lost."""
