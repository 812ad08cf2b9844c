"""Route 1: signing in and out, and renewing an authkey."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from velocity.contract.fields import GivenName, GivenPassword, UnixTime
from velocity.contract.operation import Alias, Anyone, Change, Cookie, Failure, Method, Nothing, Operation, Wire
from velocity.contract.problems import Problem


class SignIn(Wire, frozen=True):
    name: GivenName
    password: GivenPassword


class IssuedAuthkey(Wire, frozen=True):
    authkey: str
    expires: UnixTime
    warnings: list[str] | UnsetType = UNSET
    """A warning if the session ends with the server, because the database cannot be written."""


SIGN_IN = Operation(
    name="sign_in",
    summary="Sign in with a name and a password",
    method=Method.POST,
    path="/u/auth",
    route=1,
    request=SignIn,
    response=IssuedAuthkey,
    needs=Anyone("this is how a client gets an authkey"),
    failures=(Failure(1100, 403, Problem.WRONG_CREDENTIALS, "wrong name or password"),),
    aliases=(Alias("username", "name"),),
    cookie=Cookie.IGNORED,
    secret=True,
)

SIGN_OUT = Operation(
    name="sign_out",
    summary="End the session of the authkey; an unknown authkey is not an error",
    method=Method.DELETE,
    path="/u/auth",
    route=1,
    request=Change,
    response=Nothing,
    needs=Anyone("the authkey itself identifies the session that ends"),
    failures=(),
)

RENEW = Operation(
    name="renew",
    summary="Exchange the authkey for a new one; the old one stops working at once",
    method=Method.PATCH,
    path="/u/auth",
    route=1,
    request=Change,
    response=IssuedAuthkey,
    needs=Anyone("the authkey itself identifies the session; an expired one has its own error"),
    failures=(
        Failure(1400, 403, Problem.UNKNOWN_AUTHKEY, "the authkey is unknown"),
        Failure(1401, 403, Problem.EXPIRED_AUTHKEY, "the authkey has expired (reported as expired for a day)"),
    ),
    cookie=Cookie.IGNORED,  # a response with the authkey would show scripts what the cookie hides from them
    secret=True,
)

OPERATIONS = (SIGN_IN, SIGN_OUT, RENEW)
