"""What guest agents report, and acting inside guests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from velocity.api.handlers.base import Call, handles
from velocity.contract import guests
from velocity.machines.guest.guests import VmGuests
from velocity.machines.run.keeper import Keeper

Request = TypeVar(
    "Request",
    guests.ShowGuest,
    guests.Execute,
    guests.SetGuestPassword,
    guests.AddGuestKeys,
    guests.ReadGuestFile,
    guests.WriteGuestFile,
    guests.FreezeGuest,
    guests.ThawGuest,
)


@contextmanager
def turn(call: Call[Request]) -> Iterator[tuple[VmGuests, Keeper]]:
    """Within, the request counts as one that waits for a guest: each user may have a few of these."""
    asked = call.services.guests
    with asked.waiting.of(call.caller.uid):
        yield asked, call.services.fleet.get(call.request.vmid)


@handles(guests.SHOW)
async def show_guest(call: Call[guests.ShowGuest]) -> guests.GuestInfo:
    with turn(call) as (asked, vm):
        return await asked.info(vm)


@handles(guests.EXECUTE)
async def execute(call: Call[guests.Execute]) -> guests.Executed:
    with turn(call) as (asked, vm):
        return await asked.execute(vm, call.request)


@handles(guests.SET_PASSWORD)
async def set_password(call: Call[guests.SetGuestPassword]) -> guests.GuestChanged:
    with turn(call) as (asked, vm):
        await asked.set_password(vm, call.request)
    return guests.GuestChanged(vmid=call.request.vmid)


@handles(guests.ADD_KEYS)
async def add_keys(call: Call[guests.AddGuestKeys]) -> guests.GuestChanged:
    with turn(call) as (asked, vm):
        await asked.add_keys(vm, call.request)
    return guests.GuestChanged(vmid=call.request.vmid)


@handles(guests.READ_FILE)
async def read_file(call: Call[guests.ReadGuestFile]) -> guests.GuestFilePiece:
    with turn(call) as (asked, vm):
        return await asked.read(vm, call.request)


@handles(guests.WRITE_FILE)
async def write_file(call: Call[guests.WriteGuestFile]) -> guests.GuestChanged:
    with turn(call) as (asked, vm):
        await asked.write(vm, call.request)
    return guests.GuestChanged(vmid=call.request.vmid)


@handles(guests.FREEZE)
async def freeze(call: Call[guests.FreezeGuest]) -> guests.GuestFrozen:
    with turn(call) as (_, vm):
        return await call.services.fleet.freezing.freeze(vm, call.request)


@handles(guests.THAW)
async def thaw(call: Call[guests.ThawGuest]) -> guests.GuestThawed:
    with turn(call) as (_, vm):
        return await call.services.fleet.freezing.thaw(vm)
