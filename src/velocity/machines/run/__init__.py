"""The run of a VM: its keeper, its states, and the observer of its host."""
