"""The hosts that one server controls: who they are, and what each is given to do."""
