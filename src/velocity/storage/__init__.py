"""Where media and what machines keep lie: a port, and what keeps it."""
