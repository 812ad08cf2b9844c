"""Certificates of an installation's own authority, with which controller and nodes verify each other.

A node creates its key itself, and sends a request with the public part (PKCS #10, RFC 2986). The name in a certificate
says who one is, not where (`names`).
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from velocity.hosts.members import DAYS, LEFT
from velocity.node.names import Identity

AUTHORITY_DAYS = 3650
"""Validity of the authority's certificate. It is renewed when a third of it is left: so hosts have it, which comes with
their own, years before they need it."""
SKEW = datetime.timedelta(hours=1)
"""The authority is valid from so long before it was made, because hosts' clocks differ; and so is what it signs."""
PEM = serialization.Encoding.PEM


def new_serial() -> int:
    return x509.random_serial_number()


def serial_of(certificate: bytes) -> int:
    return x509.load_pem_x509_certificate(certificate).serial_number


def validity(certificate: bytes) -> tuple[int, int]:
    """The first and last moment of validity, in Unix seconds."""
    one = x509.load_pem_x509_certificate(certificate)
    return int(one.not_valid_before_utc.timestamp()), int(one.not_valid_after_utc.timestamp())


def check(identity: Identity) -> None:
    """Raises `ValueError` if the certificate has another key, or is from another authority."""
    one = x509.load_pem_x509_certificate(identity.certificate)
    if one.public_key() != _key(identity.key).public_key():
        raise ValueError("the certificate is for another key")
    try:
        one.verify_directly_issued_by(x509.load_pem_x509_certificate(identity.authority))
    except (InvalidSignature, TypeError):
        raise ValueError("the certificate is from another authority") from None


def is_due(identity: Identity, now: datetime.datetime) -> bool:
    """Whether it is to be renewed."""
    return now.timestamp() >= validity(identity.certificate)[1] - LEFT


def parted(chain: bytes, authority: bytes) -> tuple[bytes, bytes]:
    """A new certificate, and that of its authority: the known one, or what follows the first if it has the same key.

    Raises `ValueError` if it has another one.
    """
    own, *more = x509.load_pem_x509_certificates(chain)
    known = x509.load_pem_x509_certificate(authority)
    for one in more:
        if one.public_key() != known.public_key():
            raise ValueError("the certificate is from another authority")
        known = one
    return own.public_bytes(PEM), known.public_bytes(PEM)


class BadRequest(Exception):
    """The request is invalid, or not signed by its own key."""


def new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request(key: bytes) -> bytes:
    """A certificate request for that key. The signer chooses the name."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(_key(key), hashes.SHA256()).public_bytes(PEM)


def fingerprint(authority: bytes) -> str:
    """SHA-256 of an authority's certificate, as hexadecimal digits that people can compare."""
    return hashlib.sha256(
        x509.load_pem_x509_certificate(authority).public_bytes(serialization.Encoding.DER)
    ).hexdigest()


@dataclass(frozen=True)
class Authority:
    """Signs certificates for the controllers and nodes of one installation."""

    certificate: bytes
    key: bytes

    @classmethod
    def make(cls, now: datetime.datetime) -> Authority:
        return cls._of(new_key(), now - SKEW, now)

    def is_due(self, now: datetime.datetime) -> bool:
        """Whether it is to be renewed."""
        return validity(self.certificate)[1] < (now + datetime.timedelta(days=AUTHORITY_DAYS / 3)).timestamp()

    def renewed(self, now: datetime.datetime) -> Authority:
        """The authority with a longer validity. Its name and key stay, so whatever it has signed stays valid."""
        return self._of(self.key, x509.load_pem_x509_certificate(self.certificate).not_valid_before_utc, now)

    @classmethod
    def _of(cls, key: bytes, begins: datetime.datetime, now: datetime.datetime) -> Authority:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Velocity")])
        usage = x509.KeyUsage(
            key_cert_sign=True, crl_sign=False, digital_signature=False, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        made = (
            _builder(name, name, _key(key).public_key(), begins, now + datetime.timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(_key(key), hashes.SHA256())
        )
        return cls(made.public_bytes(PEM), key)

    def sign(self, csr: bytes, name: str, now: datetime.datetime, serial: int | None = None) -> bytes:
        """A certificate for the key in a request, with only that name. Raises `BadRequest`.

        It begins with the authority's, if not before: a clock that is ahead now makes none that is not valid once it is
        right.
        """
        try:
            asked = x509.load_pem_x509_csr(csr)
            valid = asked.is_signature_valid
        except ValueError as error:
            raise BadRequest(str(error)) from None
        if not valid:
            raise BadRequest("the request is not signed by its own key")
        key = asked.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadRequest("the request's key is not an elliptic-curve key")
        mine = x509.load_pem_x509_certificate(self.certificate)
        begins = min(mine.not_valid_before_utc, now - SKEW)
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        made = (
            _builder(x509.Name([]), mine.subject, key, begins, now + datetime.timedelta(days=DAYS), serial)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(both, critical=False)
            .sign(_key(self.key), hashes.SHA256())
        )
        return made.public_bytes(PEM)

    def identity(self, name: str, now: datetime.datetime) -> Identity:
        """An identity with a key that is created here."""
        key = new_key()
        return Identity(self.sign(request(key), name, now), key, self.certificate)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begins: datetime.datetime,
    ends: datetime.datetime,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(new_serial() if serial is None else serial)
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
