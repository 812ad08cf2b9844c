"""NAT NICs have places in a host's networks, from which their addresses follow: one for each that there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

FIRST = 2


def upgrade() -> None:
    connection = op.get_bind()
    places = count(FIRST)
    for vmid, text in connection.execute(sa.text("select vmid, spec from machines order by vmid")).all():
        statement = sa.text("update machines set spec = :spec where vmid = :vmid")
        connection.execute(statement, {"spec": _placed(text, places), "vmid": vmid})
    for trid, text in connection.execute(sa.text("select trid, rows from trash order by trid")).all():
        rows = json.loads(text)
        for row in rows.get("machines", ()):
            row["spec"] = _placed(row["spec"], places)
        if rows.get("machines"):
            statement = sa.text("update trash set rows = :rows where trid = :trid")
            connection.execute(statement, {"rows": json.dumps(rows), "trid": trid})


def _placed(text: str, places: Iterator[int]) -> str:
    """A specification with places; one that cannot be read stays as it is. Runs have none: none was given any."""
    try:
        spec: Any = json.loads(text)
        nat = [one["id"] for nic, one in zip(spec["nics"], spec["interfaces"], strict=True) if nic["type"] == "NAT"]
    except (ValueError, KeyError, TypeError):
        return text
    return json.dumps({**spec, "nat_places": {str(nic): next(places) for nic in nat}})
