"""VMs have a profile of hardware: those that there are have the first one, with what it stood for."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

HAD = {"hardware": "1", "input": "usb", "cpu": "host"}
"""USB keyboard and tablet; all that the host's CPU has, or all that software emulation does."""


def upgrade() -> None:
    connection = op.get_bind()
    for vmid, spec, run_spec in connection.execute(sa.text("select vmid, spec, run_spec from machines")).all():
        connection.execute(
            sa.text("update machines set spec = :spec, run_spec = :run_spec where vmid = :vmid"),
            {"spec": _with_hardware(spec), "run_spec": _with_hardware(run_spec), "vmid": vmid},
        )
    for trid, text in connection.execute(sa.text("select trid, rows from trash")).all():
        rows = json.loads(text)
        for row in rows.get("machines", ()):
            row["spec"], row["run_spec"] = _with_hardware(row["spec"]), _with_hardware(row.get("run_spec"))
        if rows.get("machines"):
            statement = sa.text("update trash set rows = :rows where trid = :trid")
            connection.execute(statement, {"rows": json.dumps(rows), "trid": trid})


def _with_hardware(text: str | None) -> str | None:
    """One that cannot be read stays as it is."""
    try:
        spec: Any = json.loads(text or "null")
    except ValueError:
        return text
    return json.dumps({**spec, **HAD}) if isinstance(spec, dict) else text
