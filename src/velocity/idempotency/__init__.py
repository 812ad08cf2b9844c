"""Requests that can be repeated safely, with an Idempotency-Key, even after a restart."""
