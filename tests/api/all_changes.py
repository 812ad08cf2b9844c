"""All cases of changes: each of these modules adds its own."""

from __future__ import annotations

from tests.api import host_changes, media_changes, people_changes, trash_changes
from tests.api.changes import CASES

__all__ = ["CASES", "host_changes", "media_changes", "people_changes", "trash_changes"]
