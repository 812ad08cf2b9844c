"""Media pools and media: what groups may keep where, uploads, and what the bytes turn out to be."""
