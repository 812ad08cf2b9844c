"""The table of states, walked."""

from __future__ import annotations

import itertools

import pytest

from velocity.contract.machines import State
from velocity.machines.run.states import ASKED, REQUESTABLE, TRANSITIONS, Cause, after, diagram

RESTING = [State.STOPPED, State.RUNNING, State.PAUSED]
MOVING = [state for state in State if state not in RESTING]


@pytest.mark.parametrize("state", RESTING)
@pytest.mark.parametrize("wanted", list(REQUESTABLE))
def test_all_nine_pairs_are_possible(state: State, wanted: State) -> None:
    following = after(state, REQUESTABLE[wanted])
    assert following is not None
    assert following is state if wanted is state else following in MOVING


@pytest.mark.holds("STATE-1")
@pytest.mark.parametrize("state", [state for state in State if state is not State.STOPPED])
def test_no_state_is_stuck(state: State) -> None:
    assert after(state, Cause.ENDED) is State.STOPPED
    assert after(State.STOPPING, Cause.ASK_KILL) is State.STOPPING


def test_moving_states_end_only_by_the_hypervisor() -> None:
    for state, cause in itertools.product(MOVING, ASKED):
        assert after(state, cause) in (None, State.STOPPING)


def test_every_state_is_reached_from_stopped() -> None:
    reached = {State.STOPPED}
    while True:
        more = {following for (state, _), following in TRANSITIONS.items() if state in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)


def test_stopping_refuses_other_wishes() -> None:
    assert after(State.STOPPING, Cause.ASK_RUN) is None
    assert after(State.STOPPING, Cause.ASK_PAUSE) is None


def test_the_diagram_shows_each_change() -> None:
    drawn = diagram()
    assert "STOPPED --> STARTING: RUNNING requested" in drawn
    assert drawn.count("-->") == 1 + sum(state is not following for (state, _), following in TRANSITIONS.items())
