"""Browser sessions, and the list of one's sessions."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from velocity.access.rules import Session
from velocity.access.sessions import Caller, NewSession
from velocity.api.browser import csrf
from velocity.api.handlers.base import Call, handles
from velocity.contract import sessions
from velocity.contract.operation import Change, Nothing


@handles(sessions.OPEN)
async def open_session(call: Call[sessions.OpenSession]) -> sessions.BrowserSession:
    call.browser.check_origin()
    users, request = call.services.access.users, call.request
    if isinstance(request.link, str):
        begun = await users.sign_in_by_link(request.link, call.device)
    else:
        assert isinstance(request.name, str), "the contract holds it to that"
        assert isinstance(request.password, str)
        begun = await users.sign_in(request.name, request.password, call.device)
    return _kept(call, begun)


@handles(sessions.SHOW)
async def show_session(call: Call[Nothing]) -> sessions.BrowserSession:
    assert call.authkey is not None
    return _shown(call, call.services.access.sessions.present(call.caller), call.authkey)


@handles(sessions.RENEW)
async def renew_session(call: Call[Change]) -> sessions.BrowserSession:
    begun = await call.services.access.sessions.renew(call.authkey)
    return _kept(call, begun)


@handles(sessions.END)
async def end_session(call: Call[sessions.EndSession]) -> Nothing:
    sid = call.request.sid if isinstance(call.request.sid, str) else call.caller.sid
    await call.services.access.sessions.end_one(call.caller, sid)
    if sid == call.caller.sid:
        call.browser.clear_authkey()
    return Nothing()


@handles(sessions.LIST)
async def list_sessions(call: Call[sessions.ListSessions]) -> sessions.Sessions:
    return sessions.Sessions(
        sessions=[
            sessions.SessionInfo(
                sid=one.sid,
                created=one.created,
                expires=one.expires or 0,
                address=one.address,
                agent=one.agent,
                current=one.sid == call.caller.sid,
            )
            for one in call.request.page(call.services.access.sessions.of(call.caller.uid), key=lambda one: one.sid)
        ]
    )


def _kept(call: Call[Any], begun: NewSession) -> sessions.BrowserSession:
    call.browser.set_authkey(begun.authkey, begun.expires)
    return msgspec.structs.replace(_shown(call, begun.session, begun.authkey), warnings=begun.warnings)


def _shown(call: Call[Any], session: Session, authkey: str) -> sessions.BrowserSession:
    access = call.services.access
    return sessions.BrowserSession(
        uid=session.uid,
        name=call.services.directory.user(session.uid).name,
        csrf=csrf(authkey),
        first=access.sessions.is_first(Caller(session.uid, session.sid)),
        expires=UNSET if session.expires is None else session.expires,
    )
