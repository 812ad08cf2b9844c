"""What the store raises where a database cannot be used."""


class DatabaseError(Exception):
    """The database cannot be used; the message names it, and the cure, and never the password."""
