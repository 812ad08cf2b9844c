"""The HTTP edge: it finds the operation, decodes, authenticates, and turns answers and refusals into the wire."""
