"""Which certificates the client trusts: those of this machine's store, or those in a file."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from velocity.client.errors import ClientError

CERTIFICATE = "-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----"
Verify = bool | ssl.SSLContext | Path
"""True: this machine's store; a PEM file: its authorities or servers' own certificates; False: no verification."""


def trusted(server: str, verify: Verify) -> ssl.SSLContext:
    """The TLS context for a server; for plain HTTP no certificates are loaded, which would take longer than a request.

    Raises `ClientError` if the file cannot be used.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is True and not server.lower().startswith("http://"):
        return _store()
    if isinstance(verify, Path):
        return _of_file(verify)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def authority(pem: str) -> ssl.SSLContext:
    """A context that trusts only these certificates, of authorities or servers. Raises `ssl.SSLError`, `ValueError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pem)
    return context


def _store() -> ssl.SSLContext:
    """The system's store, or SSL_CERT_FILE and SSL_CERT_DIR; if there is none, certifi's."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None and not context.get_ca_certs():
        import certifi  # rarely needed, and slow to import

        context.load_verify_locations(certifi.where())
    return context


def certificates(file: Path) -> str:
    """The certificates in a file, without anything else in it, such as a key. Raises `ClientError`."""
    try:
        return "\n".join(re.findall(CERTIFICATE, file.read_text("latin-1"), re.S))
    except OSError as error:
        raise ClientError(f"the certificates in {file} cannot be read: {error.strerror}") from None


def _of_file(file: Path) -> ssl.SSLContext:
    try:
        return authority(certificates(file))
    except (ssl.SSLError, ValueError):
        raise ClientError(
            f"{file} has no certificate in PEM form (`-----BEGIN CERTIFICATE-----`): name the file of the authority, "
            "or of the server's own certificate"
        ) from None
