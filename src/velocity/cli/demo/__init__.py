"""`velocity demo`: a small guest from the distribution's own kernel, from nothing to its console."""
