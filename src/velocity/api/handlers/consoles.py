"""Opening a console, and reading the serial log."""

import time

from velocity.api.handlers.base import Call, handles
from velocity.contract import consoles
from velocity.machines.consoles.consoles import LIFETIME

CONSOLE_PATH = "/v/vm/console/"


@handles(consoles.CONSOLE)
async def open_console(call: Call[consoles.OpenConsole]) -> consoles.ConsoleTicket:
    keeper = call.services.fleet.get(call.request.vmid)
    ticket = call.services.consoles.issue(call.caller, keeper, call.request)
    return consoles.ConsoleTicket(ticket=ticket, path=CONSOLE_PATH + ticket, expires=int(time.time() + LIFETIME))


@handles(consoles.LOG)
async def read_log(call: Call[consoles.ReadLog]) -> consoles.SerialLog:
    text, complete = await call.services.consoles.log(call.services.fleet.get(call.request.vmid), call.request.bytes)
    return consoles.SerialLog(vmid=call.request.vmid, text=text, complete=complete)
