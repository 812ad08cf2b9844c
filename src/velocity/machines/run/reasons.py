"""The reasons for the states of VMs and for refusals, made from facts and errors, in sentences for people."""

from __future__ import annotations

from velocity.contract.machines import Reason, State
from velocity.hypervisor.port import Fact, FactCause, FactReport, HypervisorError, NotRunning, Unknown

SENTENCES: dict[FactCause, str] = {
    FactCause.GUEST_SHUTDOWN: "the guest powered off",
    FactCause.GUEST_RESET: "the guest restarted",
    FactCause.GUEST_PANICKED: "the guest's kernel panicked: look at its console, then stop it with force or resume it",
    FactCause.DISK_FULL: "the guest wrote to a medium whose pool is full: free space there, then resume it",
    FactCause.DISK_ERROR: "the host could not read or write one of the media: check the host's disks, then resume it",
    FactCause.HOST_SIGNAL: "someone on the host ended its process with a signal",
    FactCause.KILLED: "killed by someone on the host or by the kernel's out-of-memory killer",
    FactCause.INTERNAL_ERROR: "the accelerator could not run the guest: see `velocity doctor`",
    FactCause.UNKNOWN: "it is halted for an unknown reason: look at its console, then resume or stop it",
}
"""The reason for a state, for people. Causes without a fault have no entry."""

ENDED: dict[FactCause, str] = {
    FactCause.GUEST_PANICKED: "the guest's kernel panicked, and its process has ended",
    FactCause.UNKNOWN: "its process ended unexpectedly: start it again; `qemu.log` on its host says more",
}
"""The sentences that differ after the end of the run."""


def of_fact(news: FactReport, now: int, *, asked: bool) -> Reason | None:
    """The reason stored with a fact; None if the state was requested, or all is well."""
    if news.why is FactCause.ASKED or (news.fact is Fact.RUNNING and news.why is not FactCause.GUEST_RESET):
        return None
    message = ENDED.get(news.why, SENTENCES[news.why]) if news.fact is Fact.ENDED else SENTENCES[news.why]
    if news.why is FactCause.GUEST_SHUTDOWN and asked:
        message = "the guest shut down after its power button was pressed"
    if news.detail:
        message = f"{message} ({news.detail})"
    return Reason(cause=news.why.value, message=message, since=now)


def of_absence(state: State, wanted: State, now: int) -> Reason | None:
    """The reason if a run is gone and nobody saw its end; None: a stop was requested."""
    if wanted is State.STOPPED:
        return None
    if state is State.STARTING:
        return Reason(cause="start-failed", message="the host did not start it", since=now)
    return Reason(cause="host-restarted", message="the host was restarted, or the start was interrupted", since=now)


def of_error(error: HypervisorError, called: str, vmid: int, state: State, remedy: str) -> str:
    """Why a request failed. `called` is what its caller may call the VM; an empty `remedy` is left out."""
    if isinstance(error, NotRunning):
        return f"{called} stopped while this request was waiting; `velocity vm show id:{vmid}` says why"
    if isinstance(error, Unknown):
        return (
            f"{called} has not responded in time ({error}): the request may still take effect, and "
            f"the VM is shown as {state.value} until it responds{f'; {remedy}' if remedy else ''}"
        )
    return str(error)
