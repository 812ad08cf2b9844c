"""Signing in and out, and renewing an authkey."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import auth
from velocity.contract.operation import Change, Nothing


@handles(auth.SIGN_IN)
async def sign_in(call: Call[auth.SignIn]) -> auth.IssuedAuthkey:
    begun = await call.services.access.users.sign_in(call.request.name, call.request.password, call.device)
    return auth.IssuedAuthkey(authkey=begun.authkey, expires=begun.expires, warnings=begun.warnings)


@handles(auth.SIGN_OUT)
async def sign_out(call: Call[Change]) -> Nothing:
    await call.services.access.sessions.end(call.authkey)
    return Nothing()


@handles(auth.RENEW)
async def renew(call: Call[Change]) -> auth.IssuedAuthkey:
    begun = await call.services.access.sessions.renew(call.authkey)
    return auth.IssuedAuthkey(authkey=begun.authkey, expires=begun.expires, warnings=begun.warnings)
