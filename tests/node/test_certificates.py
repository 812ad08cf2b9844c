"""Certificates of nodes: what is asked for, what is given, and until when."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.node.served import authority, now
from velocity.hosts.members import DAYS
from velocity.node.certificates import (
    Authority,
    BadRequest,
    check,
    fingerprint,
    is_due,
    new_key,
    parted,
    request,
    validity,
)
from velocity.node.names import Identity, node_name


def test_who_signs_gives_the_name_and_the_time_and_never_sees_the_key() -> None:
    key, name = new_key(), node_name(UUID(int=7), 1)
    csr = request(key)
    assert b"PRIVATE" not in csr
    made = x509.load_pem_x509_certificate(authority().sign(csr, name, now()))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority().certificate))


def test_it_is_renewed_when_a_third_of_its_time_is_left() -> None:
    then = now()
    one = authority().identity(node_name(UUID(int=7), 1), then)
    assert not is_due(one, then + timedelta(days=DAYS * 0.6))
    assert is_due(one, then + timedelta(days=DAYS * 0.7))


@pytest.mark.holds("MANY-261")
def test_what_is_signed_while_a_clock_is_ahead_is_valid_once_it_is_right() -> None:
    then = now()
    one = authority().identity(node_name(UUID(int=7), 1), then + timedelta(days=100))
    begins, ends = validity(one.certificate)
    assert begins <= then.timestamp() < ends
    assert begins == validity(authority().certificate)[0]
    assert not is_due(one, then)


def test_what_is_signed_while_a_clock_is_years_behind_is_a_certificate() -> None:
    one = Authority.make(now()).identity(node_name(UUID(int=7), 1), now() - timedelta(days=3000))
    begins, ends = validity(one.certificate)
    assert begins < ends


@pytest.mark.parametrize("what", ["nothing", "another's signature"])
def test_a_request_that_is_none_is_refused(what: str) -> None:
    csr = request(new_key())
    broken = b"" if what == "nothing" else flipped(csr)
    with pytest.raises(BadRequest):
        authority().sign(broken, node_name(UUID(int=7), 1), now())


def flipped(csr: bytes) -> bytes:
    """The same with one bit of its signature, at its end, turned round."""
    der = bytearray(x509.load_pem_x509_csr(csr).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)


def test_each_installation_has_an_authority_of_its_own() -> None:
    first, second = Authority.make(now()), Authority.make(now())
    assert fingerprint(first.certificate) != fingerprint(second.certificate)
    assert len(fingerprint(first.certificate)) == 64
    assert isinstance(first.identity("x", now()), Identity)


@pytest.mark.holds("MANY-236")
def test_an_authority_that_is_renewed_signs_for_those_who_know_it_by_its_old_certificate() -> None:
    old = Authority.make(now() - timedelta(days=3000))
    new = old.renewed(now())
    assert validity(new.certificate)[0] == validity(old.certificate)[0], "also by a clock that is behind"
    assert old.is_due(now())
    assert not new.is_due(now() + timedelta(days=2400))
    for signing, known in ((old, new), (new, old)):
        made = signing.identity("x", now())
        check(Identity(made.certificate, made.key, known.certificate))


@pytest.mark.holds("MANY-236")
def test_the_certificate_of_the_authority_comes_behind_ones_own_and_from_no_other_authority() -> None:
    old = Authority.make(now() - timedelta(days=3000))
    new, own = old.renewed(now()), old.identity("x", now()).certificate
    assert parted(own, old.certificate) == (own, old.certificate)
    assert parted(own + new.certificate, old.certificate) == (own, new.certificate)
    with pytest.raises(ValueError, match="another authority"):
        parted(own + Authority.make(now()).certificate, old.certificate)
