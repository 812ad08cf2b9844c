"""Programs that read what others made run without privileges. setpriv(1)"""

from __future__ import annotations


def unprivileged(worker: int | None) -> list[str]:
    """What begins the command of such a program: it runs as the worker (None: as the server), and gains nothing."""
    drop = [f"--reuid={worker}", f"--regid={worker}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    return ["setpriv", *(drop if worker is not None else []), "--no-new-privs", "--"]
