"""HTTP: finds the operation of a request, decodes and authenticates it, and encodes responses and refusals."""
