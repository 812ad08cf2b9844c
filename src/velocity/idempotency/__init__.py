"""Requests that are safe to repeat, by their Idempotency-Key, over a restart too."""
