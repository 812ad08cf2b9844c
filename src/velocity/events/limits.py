"""The limits of the event stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from velocity.changes import ChangeKind


@dataclass(frozen=True)
class StreamLimits:
    """The measures of the stream. Times are in seconds.

    `wake` is between two wakings of the readers, `life` from one sign of life to the next, `patience` what one send may
    take, `farewell` what a last word may, `measure` between two looks at what media take on the disk; `pace` is between
    two events of the same thing (the rest is told at once). `most` events in `most_bytes` are kept; `readers` there may
    be in all, `own` of one user. `rendered` objects are rendered in one step of the loop, each in about 0.05 ms.
    """

    wake: float = 0.02
    life: float = 15.0
    patience: float = 30.0
    farewell: float = 1.0
    measure: float = 60.0
    pace: Mapping[ChangeKind, float] = field(
        default_factory=lambda: {"task": 0.2, "quota": 0.2, "pool": 0.2, "trash": 0.2, "history": 1.0}
    )
    most: int = 20_000
    most_bytes: int = 64 << 20
    readers: int = 1024
    own: int = 16
    rendered: int = 25
