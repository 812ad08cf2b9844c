"""What the client raises, in programs with several processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.host import Host
from velocity.client import ApiError, Client, ClientError, PlanOnly, Unreachable, Untrusted

ERRORS = (
    ApiError(404, 12110, "no such VM"),
    ApiError(403, 12101, "not yours", "gid"),
    ClientError("the console has ended"),
    PlanOnly("later"),
    Unreachable("no server"),
    Untrusted("no trust"),
)


@pytest.mark.holds("CLI-19")
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_passes_between_processes_as_it_is(error: Exception, protocol: int) -> None:
    noted = copy.deepcopy(error)
    noted.add_note("look there")
    for back in (pickle.loads(pickle.dumps(noted, protocol)), copy.copy(noted)):  # noqa: S301 - our own bytes
        assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error) | vars(noted))
        assert back.__notes__ == ["look there"]


@pytest.mark.holds("CLI-62")
def test_an_authkey_is_in_no_message(host: Host, tmp_path: Path) -> None:
    with Client(host.url, f"{host.key}\n") as client:
        asks: tuple[Callable[[], object], ...] = (
            client.show_user,
            lambda: next(client.events()),
            lambda: client.download(UUID(int=1), tmp_path / "new"),
        )
        for ask in asks:
            with pytest.raises(ClientError, match="contains a line break") as told:
                ask()
            assert host.key not in f"{told.value!r} {told.value.__cause__!r}"
