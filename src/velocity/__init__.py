"""Velocity: virtual machines for small teams and homelabs."""

__version__ = "0.1.0"
