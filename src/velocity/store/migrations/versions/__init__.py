"""The steps from each schema to the next, run by Alembic at the start of the server."""
