"""The hosts that one server controls: who they are, and what they are used for."""
