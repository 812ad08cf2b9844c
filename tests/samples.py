"""Samples of Hypothesis that only their seed chooses."""

from __future__ import annotations

from hypothesis.internal.conjecture import providers


def choose_by_seed_alone() -> None:
    """Hypothesis also draws constants that it reads from the project's modules which happen to be imported: the same
    seed, in a worker that has run other tests, gives other examples. It has no setting against that.
    """
    providers.is_local_module_file = lambda _: False  # type: ignore[assignment,attr-defined]
