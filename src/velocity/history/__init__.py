"""Who did what to which object, when, from where, and with what outcome."""
