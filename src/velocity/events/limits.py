"""The limits of the event stream."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from velocity.changes import ChangeKind


class StreamLimits(Struct, frozen=True):
    """The limits of the stream. Times are in seconds.

    `wake` is the least time between two wakings of one reader (of many it is longer: `Wakeups.between`), `life` the
    interval of comments that keep a connection alive, `patience` the longest time for one send, `farewell` that for the
    last event, `measure` the least time between two measurements of media on the disk; `pace` is the least time between
    two events about the same object where that is limited. At most `most` events in `most_bytes` are kept. There are at
    most `readers` in all, `own` of one user. `rendered` objects are rendered in one step of the loop, each in about
    0.05 ms.
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
