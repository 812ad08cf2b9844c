"""Consoles and pictures of screens: who may look and type, and how many at a time."""
