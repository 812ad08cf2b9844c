"""Deleted objects that can be restored."""
