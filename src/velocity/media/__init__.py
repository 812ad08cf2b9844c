"""Media pools and media: which group may keep what where, uploads, and what the bytes contain."""
