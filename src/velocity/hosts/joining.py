"""How machines become hosts: by a token each, with a certificate that the installation's authority signs."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType
from msgspec.structs import replace as with_

from velocity import plan
from velocity.contract import joining, nodes
from velocity.contract.problems import Problem, Refused
from velocity.hosts.members import (
    TOKEN_LIFETIME,
    Connections,
    Dialing,
    JoinToken,
    Member,
    MemberRows,
    MemberStore,
    Sealed,
)
from velocity.hosts.roster import Roster

log = logging.getLogger(__name__)

TOKENS = 100
"""How many may be unused at a time."""


class Joining:
    """The tokens, and the `authority` (None: nobody has joined yet).

    `urls` tells where the server is found (in a thread). `changing` is held while a host is changed; `joined` is called
    when one has joined.
    """

    def __init__(
        self,
        store: MemberStore,
        roster: Roster,
        dialing: Callable[[], Dialing],
        connections: Connections,
        urls: Callable[[], list[str]],
        changing: asyncio.Lock,
        joined: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._roster = roster
        self._dialing = dialing
        self._connections = connections
        self._urls = urls
        self._changing = changing
        self._joined = joined
        self._clock = clock
        self._tokens: dict[str, JoinToken] = {}
        self.authority: Sealed | None = None

    async def open(self, rows: MemberRows) -> None:
        self._tokens = {one.name: one for one in rows.tokens}
        self.authority = rows.authority
        if self.authority is not None and any(not one.own for one in self._roster):
            await self._renew(self.authority)

    async def make_token(self, host: int | UnsetType, urls: list[str] | UnsetType) -> nodes.Token:
        """A token for a new host, or with which `host` joins again. Raises `Refused`."""
        now = int(self._clock())
        member = None if host is UNSET else self._roster.get(host)
        if member is not None and member.own:
            raise Refused(Problem.NODE_OWN, "that is the server's own host, which does not join", field="host")
        self._tokens = {name: one for name, one in self._tokens.items() if one.holds(now)}
        if sum(one.used_by is None for one in self._tokens.values()) >= TOKENS:
            raise Refused(
                Problem.TOO_MANY_TOKENS, f"{TOKENS} tokens are unused: use one of these, or wait until they expire"
            )
        where = await asyncio.to_thread(self._urls) if isinstance(urls, UnsetType) else urls
        plan.step("create", "token", "" if member is None else member.name)
        if self.authority is not None:
            await self._renew(self.authority)
        authority = await self.ensure_authority()
        secret = secrets.token_bytes(joining.SECRET)
        token = JoinToken(
            joining.name(secret), joining.key(secret), now + TOKEN_LIFETIME, None if member is None else member.host
        )
        await self._store.add_token(token, authority, now)
        self.authority = self.authority or authority
        self._tokens[token.name] = token
        word = str(joining.NodeToken(where, self._dialing().fingerprint(self.authority), secret))
        return nodes.Token(token=word, expires=token.expires, urls=where, warnings=_warnings(where) or UNSET)

    def forget(self, host: int) -> None:
        """The host is removed: its tokens are invalid."""
        self._tokens = {name: one for name, one in self._tokens.items() if host not in (one.host, one.used_by)}

    # The authority

    async def _renew(self, authority: Sealed) -> None:
        """Renew its certificate in time, but not while a token is valid: a token names the present one."""
        renewed = self._dialing().renewed(authority)
        if renewed == authority or any(one.holds(self._clock()) for one in self._tokens.values()):
            return
        plan.stop_here()
        self.authority = renewed
        try:
            await self._store.renew_authority(renewed)
            log.info("the certificate of the authority that signs for hosts was renewed")
        except Refused as refused:  # the next start renews it again
            log.warning(
                "the renewed certificate of the authority that signs for hosts cannot be stored: %s", refused.message
            )

    async def ensure_authority(self) -> Sealed:
        """The authority, or a new one, for the caller to store.

        With a new one, certificates that another one has signed, before the database was moved here, are invalid.
        """
        if self.authority is not None:
            return self.authority
        plan.stop_here()
        for member in [one for one in self._roster if one.serial]:
            await self._store.note(self._roster.change(member.host, serial="", renewing=""))
        return self._dialing().new_authority()

    # Joining

    async def join(self, asked: nodes.JoinNode) -> nodes.Joined:
        """Accept a join with a valid token. The same request again returns the same host. Raises `Refused`."""
        async with self._changing:
            token = self._tokens.get(asked.token)
            if token is None or not token.holds(self._clock()) or not joining.proves(token.key, asked):
                raise _refused()
            if token.used_by is not None and token.proof != asked.proof:
                raise _refused()
            return await self._join(asked, token)

    async def _join(self, asked: nodes.JoinNode, token: JoinToken) -> nodes.Joined:
        authority = self.authority
        assert authority is not None, "there is one since the first token"
        known = self._roster.of(asked.uuid)
        _check_known(known, token)
        before = known or (self._roster.find(token.host) if token.host is not None else None)
        signed = self._dialing().sign(authority, asked.request, asked.uuid)
        name = asked.name if before is None else before.name
        with self._roster.claim(name, None if before is None else before.host):
            plan.step("change" if before else "create", "host", name, id=before.host if before else None)
            plan.stop_here()
            member = replace(
                before or Member(self._roster.next_id(), asked.name, mpid=self._roster.free_pool()),
                uuid=asked.uuid, address=asked.address, serial=signed.serial, renewing="",
                joined=int(self._clock()),
            )  # fmt: skip
            used = replace(token, used_by=member.host, proof=asked.proof)
            await self._store.join(member, used)
            self._tokens[token.name] = used
            self._roster.put(member)
        await self._connections.follow(member, authority)
        self._joined()
        answer = nodes.Joined(
            host=member.host,
            name=member.name,
            certificate=signed.certificate,
            authority=authority.certificate,
            mpid=member.mpid,
            proof="0" * 64,
        )
        return with_(answer, proof=joining.proof(token.key, answer))


def _check_known(known: Member | None, token: JoinToken) -> None:
    """Raises `Refused` if the token is for another machine."""
    if known is not None and known.host not in (token.host, token.used_by):
        raise Refused(
            Problem.NODE_KNOWN,
            f"that machine is the host {known.name} already: `velocity node token --again {known.name}` makes a "
            "token with which it can join again",
        )


def _refused() -> Refused:
    return Refused(
        Problem.TOKEN_REFUSED,
        "this token is unknown here, was used, or has expired (after an hour): make a new one with `velocity node "
        "token` on the server",
    )


def _warnings(urls: list[str]) -> list[str]:
    if not all(map(joining.is_here, urls)):
        return []
    return [
        "another machine cannot reach this server, which listens on this machine alone: set `listen` to "
        f"0.0.0.0:{urlsplit(urls[0]).port or 8090} with tls_cert and tls_key, or name the URL of its proxy (--url)"
    ]
