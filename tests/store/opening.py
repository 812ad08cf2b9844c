"""A database is opened as a server does it, or refused in words."""

from __future__ import annotations

import asyncio

import pytest

from velocity.store.database import Database
from velocity.store.errors import DatabaseError


def opened(url: str) -> None:
    database = Database(url)
    try:
        database.open()
    finally:
        asyncio.run(database.close())


def said(url: str) -> str:
    """One line."""
    with pytest.raises(DatabaseError) as refused:
        opened(url)
    assert "\n" not in str(refused.value)
    return str(refused.value)
