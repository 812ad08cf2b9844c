"""The error for databases that cannot be used."""


class DatabaseError(Exception):
    """The database cannot be used. The message names it and the cure, and never contains the password."""
