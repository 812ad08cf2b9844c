"""The server's own TLS. An unusable certificate or key is refused with a message before anybody is served.

Only HTTP/1.1 is offered: docs/tls-and-proxies.md says why.
"""

from __future__ import annotations

import contextlib
import logging
import re
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

PEM = {
    "tls_cert": (r"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----", "certificate", "openssl x509 -inform der"),
    "tls_key": (r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----", "private key", "openssl pkey -inform der"),
}
"""Setting -> a pattern that its file must match, what it holds, and what converts it from DER."""
NO_CHECK_TIME = 0x200000
"""X509_VERIFY_PARAM_set_flags(3)"""
NOT_OF_NOW = {9: "is not valid yet: check the clock of this host", 10: "has expired: renew it"}
"""OpenSSL's error codes about time. X509_STORE_CTX_get_error(3)"""


class BadCertificate(Exception):
    """The certificate or its key cannot be used; the message names setting, file and cure."""


class Certificate:
    """The server's certificate. `context` is for its connections."""

    def __init__(self, cert: str, key: str) -> None:
        """Load certificate and key. Raises `BadCertificate`."""
        self._files = cert, key
        self.context = _tested_context(cert, key)
        self.expires = self._expires()
        """When it expires, in Unix seconds; None if that is not known."""

    def renew(self) -> None:
        """Load both again, for new connections. An unusable one changes nothing. Raises `BadCertificate`."""
        _tested_context(*self._files)
        _load(self.context, *self._files)
        self.expires = self._expires()

    def _expires(self) -> int | None:
        """The expiry that a client sees: that of the first certificate in the file."""
        with contextlib.suppress(OSError):
            if shown := _handshake(self.context, self._files[0], NO_CHECK_TIME).getpeercert():
                return int(ssl.cert_time_to_seconds(str(shown["notAfter"])))
        return None


def _tested_context(cert: str, key: str) -> ssl.SSLContext:
    """A context with both, tested with a handshake. Raises `BadCertificate`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["http/1.1"])
    _load(made, cert, key)
    _test_handshake(made, cert, key)
    return made


def _load(made: ssl.SSLContext, cert: str, key: str) -> None:
    for setting, file in (("tls_cert", cert), ("tls_key", key)):
        _check(setting, file)

    def passphrase() -> str:
        raise BadCertificate(
            f"tls_key: {key} is encrypted, and nobody is there to type its passphrase: store it without one "
            f"(openssl pkey -in {key} -out FILE), readable by the server's account alone"
        )

    try:
        made.load_cert_chain(cert, key, passphrase)
    except (ssl.SSLError, OSError) as error:
        raise BadCertificate(_words(error, cert, key)) from None


def _check(setting: str, file: str) -> None:
    """Raises `BadCertificate` unless the file can be read and holds what it should."""
    pattern, name, convert = PEM[setting]
    try:
        text = Path(file).read_text("latin-1")
    except OSError as error:
        raise BadCertificate(
            f"{setting}: {file} cannot be read ({error.strerror}): name the file of the {name}, readable by the "
            "server's account"
        ) from None
    if not re.search(pattern, text):
        raise BadCertificate(
            f"{setting}: {file} has no {name} in PEM form (`-----BEGIN ...`): name the right file, or convert it "
            f"({convert} -in {file} -out FILE)"
        )


def _words(error: OSError, cert: str, key: str) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    if "MISMATCH" in reason:
        return (
            f"tls_key: {key} is not the key of the first certificate in {cert} (tls_cert): name the two that belong "
            "together; the server's own certificate comes first, its authorities after it"
        )
    if "TOO_SMALL" in reason or "TOO_WEAK" in reason:
        return f"tls_cert: {cert} is too weak for OpenSSL ({reason}): make one with RSA 2048, EC P-256 or better"
    try:
        first = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", Path(cert).read_text(), re.S)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=first[0] if first else "")
    except (OSError, ValueError):
        return f"tls_cert: {cert} is damaged ({reason}): copy the certificate anew"
    return f"tls_key: {key} is damaged, or no key that TLS uses ({reason}): copy it anew, or make another"


def _test_handshake(made: ssl.SSLContext, cert: str, key: str) -> None:
    """Make a test handshake. Raises `BadCertificate` if no client could connect, and logs what most would not trust."""
    try:
        _handshake(made, cert)
    except ssl.SSLCertVerificationError as error:
        what = NOT_OF_NOW.get(error.verify_code, f"will not be accepted by clients ({error.verify_message})")
        log.warning("tls_cert: the certificate in %s %s", cert, what)
    except ssl.SSLError as error:
        raise BadCertificate(
            f"tls_key: {key} cannot be used for TLS ({error.reason}): make one with RSA 2048, EC P-256 or better"
        ) from None


def _handshake(made: ssl.SSLContext, cert: str, flags: int = 0) -> ssl.SSLObject:
    """A handshake in memory; returns the client's side. Raises `ssl.SSLError`."""
    asks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asks.check_hostname = False
    asks.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | flags
    asks.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asks.wrap_bio(to_client, to_server)
    server = made.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for side in (client, server) * 4:
        if side not in done:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(side)
    return client
