"""What follows of a move that is not committed, by what both hosts say: every pair."""

from __future__ import annotations

from itertools import product

import pytest

from velocity.hypervisor.port import Fact
from velocity.machines.move.rules import STANDS, Do, follows
from velocity.machines.run.passage import OVER

FACTS = (*Fact, None)
HAS_ALL = {Fact.RECEIVED, *STANDS}


@pytest.mark.holds("MANY-78")
@pytest.mark.parametrize(("source", "target"), list(product(FACTS, FACTS)))
def test_what_follows(source: Fact | None, target: Fact | None) -> None:
    do = follows(source, target, wanted=True)
    if source in STANDS:
        assert do is Do.UNDO, "it runs where it was"
    elif target in STANDS:
        assert do is Do.FORWARD, "another server has committed it"
    elif source in OVER:
        assert do is (Do.FORWARD if target in HAS_ALL else Do.UNDO), "never let run at the target: it can start anew"
    elif source is Fact.HANDED and target in HAS_ALL:
        assert do is Do.FORWARD
    elif source is Fact.HANDED and target in OVER:
        assert do is Do.BACK
    else:
        assert do is Do.WAIT, "as long as either is not known, neither runs"


@pytest.mark.holds("MANY-78")
@pytest.mark.parametrize(("source", "target"), list(product(FACTS, FACTS)))
def test_what_follows_of_one_whose_end_was_asked_for(source: Fact | None, target: Fact | None) -> None:
    do = follows(source, target, wanted=False)
    if source not in STANDS and target in STANDS:
        assert do is Do.FORWARD, "it was let run by another server: there it is ended"
        return
    assert do in (Do.UNDO, Do.WAIT), "it is let run nowhere"
    known = source in STANDS | OVER or (source is Fact.HANDED and target in HAS_ALL | OVER)
    assert (do is Do.UNDO) is known
