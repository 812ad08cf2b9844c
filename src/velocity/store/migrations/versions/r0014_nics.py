"""Ids and MAC addresses of NICs, which were made of their places: written down, so that each NIC keeps its own."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    connection = op.get_bind()
    for vmid, uuid, *texts in connection.execute(sa.text("select vmid, uuid, spec, run_spec from machines")).all():
        spec, run_spec = _row(uuid, *texts)
        connection.execute(
            sa.text("update machines set spec = :spec, run_spec = :run_spec where vmid = :vmid"),
            {"spec": spec, "run_spec": run_spec, "vmid": vmid},
        )
    for trid, text in connection.execute(sa.text("select trid, rows from trash")).all():
        rows = json.loads(text)
        for row in rows.get("machines", ()):
            row["spec"], row["run_spec"] = _row(row["uuid"], row["spec"], row.get("run_spec"))
        if rows.get("machines"):
            statement = sa.text("update trash set rows = :rows where trid = :trid")
            connection.execute(statement, {"rows": json.dumps(rows), "trid": trid})


def _row(uuid: str, *texts: str | None) -> list[str | None]:
    """Specifications of one VM; one that cannot be read stays as it is."""
    specs = [_read(text) for text in texts]
    last = max((len(spec["nics"]) for spec in specs if spec is not None), default=0)
    for spec in specs:
        if spec is not None:
            places = range(len(spec["nics"]))
            spec["interfaces"] = [{"id": place + 1, "mac": _mac(UUID(uuid), place)} for place in places]
            spec["last_nic"] = last
    return [text if spec is None else json.dumps(spec) for text, spec in zip(texts, specs, strict=True)]


def _read(text: str | None) -> dict[str, Any] | None:
    try:
        spec = json.loads(text or "null")
    except ValueError:
        return None
    if not isinstance(spec, dict) or not isinstance(spec.setdefault("nics", []), list):
        return None
    return spec


def _mac(machine: UUID, place: int) -> str:
    tail = hashlib.sha256(machine.bytes + place.to_bytes(4, "big")).digest()[:3]
    return ":".join(f"{byte:02x}" for byte in b"\x52\x54\x00" + tail)
