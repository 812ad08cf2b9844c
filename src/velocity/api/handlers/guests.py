"""What guests say of themselves, and what is done inside of them."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import guests


@handles(guests.SHOW)
async def show_guest(call: Call[guests.ShowGuest]) -> guests.GuestInfo:
    services = call.services
    with services.guests.waiting.of(call.caller.uid):
        return await services.guests.info(services.fleet.get(call.request.vmid))


@handles(guests.EXECUTE)
async def execute(call: Call[guests.Execute]) -> guests.Executed:
    services = call.services
    with services.guests.waiting.of(call.caller.uid):
        return await services.guests.execute(services.fleet.get(call.request.vmid), call.request)


@handles(guests.SET_PASSWORD)
async def set_password(call: Call[guests.SetGuestPassword]) -> guests.GuestChanged:
    services = call.services
    with services.guests.waiting.of(call.caller.uid):
        await services.guests.set_password(services.fleet.get(call.request.vmid), call.request)
    return guests.GuestChanged(vmid=call.request.vmid)


@handles(guests.ADD_KEYS)
async def add_keys(call: Call[guests.AddGuestKeys]) -> guests.GuestChanged:
    services = call.services
    with services.guests.waiting.of(call.caller.uid):
        await services.guests.add_keys(services.fleet.get(call.request.vmid), call.request)
    return guests.GuestChanged(vmid=call.request.vmid)


@handles(guests.READ_FILE)
async def read_file(call: Call[guests.ReadGuestFile]) -> guests.GuestFilePiece:
    services = call.services
    with services.guests.waiting.of(call.caller.uid):
        return await services.guests.read(services.fleet.get(call.request.vmid), call.request)


@handles(guests.WRITE_FILE)
async def write_file(call: Call[guests.WriteGuestFile]) -> guests.GuestChanged:
    services = call.services
    with services.guests.waiting.of(call.caller.uid):
        await services.guests.write(services.fleet.get(call.request.vmid), call.request)
    return guests.GuestChanged(vmid=call.request.vmid)
