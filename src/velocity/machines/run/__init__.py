"""The run of a VM: its keeper, its states, its changes while it runs, and the observer of its host."""
