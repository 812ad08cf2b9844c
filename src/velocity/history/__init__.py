"""The history: who did what to which object, when, from where, and with what outcome."""
