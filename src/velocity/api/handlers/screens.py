"""Pictures of displays, and the text on them."""

from msgspec import UNSET

from velocity.api.handlers.base import Call, handles
from velocity.contract import screens
from velocity.contract.permissions import Permission


@handles(screens.SCREEN)
async def show_screen(call: Call[screens.ShowScreen]) -> screens.ScreenPicture:
    vm_screens, request = call.services.screens, call.request
    with vm_screens.waiting.of(call.caller.uid):
        picture = await vm_screens.picture(call.services.fleet.get(request.vmid), request.display)
        text = await vm_screens.text(picture, call.caller.uid) if request.text else UNSET
    return screens.ScreenPicture(
        vmid=request.vmid,
        display=picture.display,
        width=picture.width,
        height=picture.height,
        taken=picture.taken,
        png=picture.png,
        text=text,
    )


@handles(screens.SEARCH)
async def search_screens(call: Call[screens.SearchScreens]) -> screens.Hits:
    services, uid = call.services, call.caller.uid
    with services.screens.waiting.of(uid):
        allowed = services.fleet.where(services.directory.holding(uid, Permission.VM_INTERACT))
        return await services.screens.search(allowed, call.request.text, uid)
