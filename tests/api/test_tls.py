"""The server's own TLS: what cannot be used is refused before anybody is served, with setting, file and cure."""

from __future__ import annotations

import logging
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.certificates import DER, Certificate, certificate
from tests.patience import PATIENCE
from velocity.api import tls


def damaged(pem: bytes) -> bytes:
    """With another body."""
    head, body, foot = pem.split(b"\n", 1)[0], pem.split(b"\n")[1:-2], pem.split(b"\n")[-2]
    return b"\n".join([head, *(line[::-1] for line in body), foot, b""])


def wrong_pairs(place: Path) -> dict[str, tuple[Path, Path, str]]:
    """What is wrong -> the two files, and what the refusal must say."""
    good, other = certificate("localhost"), certificate("localhost")
    small = certificate("localhost", key=rsa.generate_private_key(65537, 1024))  # noqa: S505
    cert, key = good.write(place)
    files = {
        "der": good.signed.public_bytes(DER),
        "der-key": good.key_pem(encoding=DER),
        "empty": b"",
        "other-key": other.key_pem(),
        "secret-key": good.key_pem(b"a passphrase"),
        "damaged": damaged(good.pem),
        "damaged-key": damaged(good.key_pem()),
        "small": small.pem,
        "small-key": small.key_pem(),
        "both-chains": other.pem + good.pem,
    }
    for name, content in files.items():
        (place / name).write_bytes(content)
    of = {name: place / name for name in files}
    return {
        "a key that is not there": (cert, place / "no.pem", "tls_key: {key} cannot be read (No such file"),
        "a certificate that is not there": (place / "no.pem", key, "tls_cert: {cert} cannot be read (No such file"),
        "a directory": (cert, place, "tls_key: {key} cannot be read (Is a directory)"),
        "the other form": (of["der"], key, "tls_cert: {cert} has no certificate in PEM form"),
        "the other form of a key": (cert, of["der-key"], "openssl pkey -inform der"),
        "an empty file": (cert, of["empty"], "tls_key: {key} has no private key in PEM form"),
        "the two exchanged": (key, cert, "tls_cert: {cert} has no certificate in PEM form"),
        "another's key": (cert, of["other-key"], "tls_key: {key} is not the key of the first certificate in {cert}"),
        "an authority first": (of["both-chains"], key, "the server's own certificate comes first"),
        "a key with a passphrase": (cert, of["secret-key"], "tls_key: {key} is encrypted"),
        "a damaged certificate": (of["damaged"], key, "tls_cert: {cert} is damaged"),
        "a damaged key": (cert, of["damaged-key"], "tls_key: {key} is damaged"),
        "a weak key": (of["small"], of["small-key"], "too weak"),
    }


@pytest.mark.holds("TLS-1")
def test_a_key_that_cannot_be_used_is_refused_with_setting_and_file(tmp_path: Path) -> None:
    weak_ones_are_refused = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).security_level > 1
    for what, (cert, key, words) in wrong_pairs(tmp_path).items():
        if what == "a weak key" and not weak_ones_are_refused:
            continue
        with pytest.raises(tls.BadCertificate) as refused:
            tls.Certificate(str(cert), str(key))
        assert words.format(cert=cert, key=key) in str(refused.value), what


@pytest.mark.holds("TLS-1")
def test_a_server_whose_key_cannot_be_used_serves_nobody(tmp_path: Path) -> None:
    cert, _ = certificate("localhost").write(tmp_path)
    settings = {
        "VELOCITY_DATA_DIR": str(tmp_path / "data"),
        "VELOCITY_LISTEN": "127.0.0.1:0",
        "VELOCITY_TLS_CERT": str(cert),
        "VELOCITY_TLS_KEY": str(tmp_path / "no.pem"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "velocity", "serve"], env={"PATH": os.environ["PATH"], **settings},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("velocity: tls_key: ")
    assert str(tmp_path / "no.pem") in ended.stderr
    assert not (tmp_path / "data").exists(), "and nothing was begun"


def test_what_clients_will_not_trust_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server with an expired certificate is still one that can be spoken to, to mend it."""
    cert, key = certificate("localhost", days=-1).write(tmp_path)
    with caplog.at_level(logging.WARNING):
        tls.Certificate(str(cert), str(key))
    assert f"tls_cert: the certificate in {cert} has expired: renew it" in caplog.text


@pytest.mark.holds("TLS-1", "METRIC-14")
def test_a_renewal_that_is_wrong_changes_nothing(tmp_path: Path) -> None:
    first, second = certificate("first", days=30), certificate("second", days=60)
    cert, key = first.write(tmp_path)
    used = tls.Certificate(str(cert), str(key))
    wrong = wrong_pairs(tmp_path / "wrong")
    for what in ("another's key", "a key with a passphrase", "a damaged certificate"):
        for name, file in zip((cert, key), wrong[what][:2], strict=True):
            shutil.copyfile(file, name)
        with pytest.raises(tls.BadCertificate):
            used.renew()
    key.unlink()
    with pytest.raises(tls.BadCertificate):
        used.renew()
    assert served(used.context) == ssl.PEM_cert_to_DER_cert(first.pem.decode())
    assert used.expires == expiry(first), "of what is served, not of what is in the file"
    second.write(tmp_path)
    assert used.expires == expiry(first)
    used.renew()
    assert served(used.context) == certificate_of(cert)
    assert used.expires == expiry(second)


def expiry(of: Certificate) -> int:
    return int(of.signed.not_valid_after_utc.timestamp())


def certificate_of(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())


@pytest.mark.holds("METRIC-14")
@pytest.mark.parametrize("days", [30, -1])
def test_when_a_certificate_expires_is_known_also_when_it_has(tmp_path: Path, days: int) -> None:
    good, authority = certificate("localhost", days=days), certificate("ca", authority=True)
    cert, key = good.write(tmp_path)
    assert tls.Certificate(str(cert), str(key)).expires == expiry(good)
    signed = certificate("localhost", by=authority, days=days)
    cert, key = signed.write(tmp_path / "chain", authority)
    assert tls.Certificate(str(cert), str(key)).expires == expiry(signed)


def served(context: ssl.SSLContext) -> bytes | None:
    """What a client is shown."""
    asks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asks.check_hostname, asks.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = asks.wrap_bio(back, there), context.wrap_bio(there, back, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True)
