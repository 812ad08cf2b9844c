"""The areas that the event stream reports."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from velocity.access.directory import Directory
from velocity.machines.service import Fleet
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.quotas import PoolQuotas
from velocity.media.rules import Pool
from velocity.media.usage import DiskUsage
from velocity.tasks.service import Tasks


class Areas(Struct, frozen=True):
    """The sources of objects as they are at present. `pools` are the declared ones, by number."""

    directory: Directory
    pools: Mapping[int, Pool]
    library: Library
    attachments: Attachments
    assignments: Assignments
    quotas: PoolQuotas
    usage: DiskUsage
    fleet: Fleet
    tasks: Tasks
