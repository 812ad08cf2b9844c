"""Certificates of the tests' own: authorities, what they sign, and what is wrong on purpose."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key."""

    signed: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.signed.public_bytes(PEM)

    def key_pem(self, passphrase: bytes | None = None, encoding: serialization.Encoding = PEM) -> bytes:
        hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        return self.key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, hidden)

    def write(self, directory: Path, *chain: Certificate) -> tuple[Path, Path]:
        """The two files that the settings name: the certificate with its chain, and the key."""
        directory.mkdir(parents=True, exist_ok=True)
        cert, key = directory / "cert.pem", directory / "key.pem"
        cert.write_bytes(b"".join(one.pem for one in (self, *chain)))
        key.write_bytes(self.key_pem())
        return cert, key


def certificate(
    *names: str, by: Certificate | None = None, authority: bool = False, days: float = 1, key: Key | None = None
) -> Certificate:
    """For these names (or addresses), signed by another or by itself, valid for so many days from yesterday on."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.signed.subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return Certificate(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
