"""Which certificates the client trusts: the machine's own authorities, or a file of certificates."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from velocity.client.errors import ClientError

CERTIFICATE = "-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----"
Verify = bool | ssl.SSLContext | Path
"""True: this machine's store; a file (PEM) with the authority, or with the very certificate; False: nothing does."""


def trusted(server: str, verify: Verify) -> ssl.SSLContext:
    """Over plain HTTP nothing can prove it, and nothing is read that could: it takes longer than a request.

    Raises `ClientError` where the file cannot be used.
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
    """Trusts these certificates alone: authorities, or servers themselves. Raises `ssl.SSLError`, `ValueError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pem)
    return context


def _store() -> ssl.SSLContext:
    """That of the system, also as SSL_CERT_FILE and SSL_CERT_DIR name it; where there is none, that of certifi."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None and not context.get_ca_certs():
        import certifi  # seldom needed, and slow to import

        context.load_verify_locations(certifi.where())
    return context


def certificates(file: Path) -> str:
    """Those in the file, and nothing else that it may have, such as a key. Raises `ClientError`."""
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
