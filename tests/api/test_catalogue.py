"""Images that are known by name: which there are, how they are fetched, and how media of them are told."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import qemu_img, wait
from tests.api.origin import Origin, answers, origin, redirects
from tests.api.world import World, world
from tests.certificates import certificate
from tests.patience import PATIENCE
from velocity.media import checksums
from velocity.media.catalogue import BUILT_IN, CatalogueError, load

pytestmark = pytest.mark.anyio


def entry(url: str, **more: Any) -> str:
    values = {"name": "small-1", "title": "Small 1", "version": "1", "url": url, "user": "small", **more}
    lines = (f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in values.items())
    return "\n".join(["[[images]]", *lines, ""])


@pytest.fixture
async def o() -> AsyncIterator[Origin]:
    async with origin() as made:
        yield made


@pytest.mark.holds("IMAGE-42")
async def test_an_image_is_fetched_by_its_name_and_what_is_made_of_it_is_told(tmp_path: Path, o: Origin) -> None:
    (tmp_path / "raw").write_bytes(b"a disk".ljust(1 << 20, b"\0"))
    qemu_img("convert", "-O", "qcow2", tmp_path / "raw", tmp_path / "qcow2")
    content = (tmp_path / "qcow2").read_bytes()
    o.files["/a"] = answers("200 OK", body=content)
    file = tmp_path / "more.toml"
    file.write_text(entry(o.url("/a?key=secret"), sha256=hashlib.sha256(content).hexdigest()))
    async with world(tmp_path / "data", catalogues=[str(file)]) as w:
        bob = await w.user("bob")
        images = {one["name"]: one for one in (await w.ok("POST", "/m/catalogue", bob))["images"]}
        small = images["small-1"]
        assert (small["trust"], small["server"], small["user"], small["tried"]) == (
            "pinned",
            "127.0.0.1",
            "small",
            False,
        )
        assert "secret" not in str(images) and {"debian-13", "ubuntu-24.04", "fedora-43", "alpine-3.23"} < set(images)
        request = {"gid": 0, "mpid": 1, "name": "base", "image": "small-1", "readonly": True}
        await wait(w, await w.ok("PUT", "/m/media/fetch", **request))
        (base,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
        assert (base["origin"], base["format"], base["size"]) == (small["origin"], "qcow2", 1 << 20)
        await wait(w, await w.ok("PUT", "/m/media/clone", mid=base["mid"], gid=0, mpid=1, name="disk"))
        await w.medium("other")
        media = {one["name"]: one.get("origin") for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]}
        assert media == {"base": small["origin"], "disk": small["origin"], "other": None}
        await w.ok("DELETE", "/m/media", mid=base["mid"])
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        key = w.key
    async with world(tmp_path / "data", catalogues=[str(file)]) as w:
        w.key = key
        found = {one["name"]: one.get("origin") for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]}
        assert found == media, "it is kept, in the trash too"


@pytest.mark.holds("IMAGE-47")
async def test_an_image_has_the_checksum_that_its_distribution_publishes(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"a disk".ljust(1 << 20, b"\0"))
    content = (tmp_path / "raw").read_bytes()
    authority = certificate("an authority", authority=True)
    cert, key = certificate("127.0.0.1", by=authority).write(tmp_path / "served")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with origin(context=context) as o, origin() as mirror:
        url = o.url("/a.raw", scheme="https")
        o.files["/a.raw"] = redirects(mirror.url("/a.raw"))
        mirror.files["/a.raw"] = answers("200 OK", body=content)
        file = tmp_path / "more.toml"
        file.write_text(entry(url, checksums=o.url("/SUMS", scheme="https")))
        more: dict[str, Any] = {"catalogues": [str(file)], "fetch_ca": str(tmp_path / "ca.pem")}
        async with world(tmp_path / "data", **more) as w:
            (small,) = [one for one in (await w.ok("POST", "/m/catalogue"))["images"] if one["name"] == "small-1"]
            assert small["trust"] == "checksums"
            right = hashlib.sha512(content).hexdigest()
            for sums, said in (
                (f"{'0' * 128}  a.raw\n", "not the one in the checksums of 127.0.0.1"),
                (f"{right}  b.raw\n", "a.raw does not stand there"),
                ("x" * (1 << 20) + "x", "too large"),
                (f"{right}  a.raw\n", None),
            ):
                o.files["/SUMS"] = answers("200 OK", body=sums.encode())
                request = {"gid": 0, "mpid": 1, "name": "a", "image": "small-1", "format": "raw"}
                started = await w.ok("PUT", "/m/media/fetch", **request)
                async with asyncio.timeout(PATIENCE):
                    await w.server.services.tasks.settle()
                task = await w.ok("POST", "/t/task", tid=started["tid"])
                assert (task["state"], said or "") == ("FAILED" if said else "DONE", said or "")
                assert said is None or said in task["message"]
                media = (await w.ok("POST", "/m/media/list", gid=0))["media"]
                assert len(media) == (0 if said else 1), "with other bytes nothing is kept"


class Signer:
    """A key of its own, made by gpg(1)."""

    def __init__(self, place: Path) -> None:
        place.mkdir(mode=0o700)
        self._home = place
        self._gpg("--quick-generate-key", "--passphrase", "", "images", "ed25519", "sign", "never")
        self.key = self._gpg("--export")

    def _gpg(self, *words: str, content: bytes = b"") -> bytes:
        words = ("gpg", "--homedir", str(self._home), "--batch", "--quiet", *words)
        return subprocess.run(words, input=content, capture_output=True, check=True).stdout

    def beside(self, content: bytes) -> bytes:
        return self._gpg("--detach-sign", content=content)

    def inside(self, content: bytes) -> bytes:
        return self._gpg("--clear-sign", content=content)

    def end(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "gpg-agent"], check=True)


@pytest.fixture
def signers() -> Iterator[tuple[Signer, Signer]]:
    """One that is believed, and another; in a short path, which sockets need."""
    with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp") as place:
        both = Signer(Path(place) / "a"), Signer(Path(place) / "b")
        yield both
        for one in both:
            one.end()


@pytest.mark.holds("IMAGE-53")
@pytest.mark.parametrize("beside", [True, False])
async def test_an_image_whose_checksums_are_signed_by_another_or_changed_is_refused(
    tmp_path: Path, signers: tuple[Signer, Signer], beside: bool
) -> None:
    content = b"a disk".ljust(1 << 20, b"\0")
    (tmp_path / "keys.gpg").write_bytes(signers[0].key)
    authority = certificate("an authority", authority=True)
    cert, key = certificate("127.0.0.1", by=authority).write(tmp_path / "served")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    sums = f"{hashlib.sha512(content).hexdigest()}  a.raw\n".encode()
    async with origin(context=context) as o:
        o.files["/a.raw"] = answers("200 OK", body=content)
        more = {"signature": o.url("/SUMS.gpg", scheme="https")} if beside else {}
        file = tmp_path / "more.toml"
        file.write_text(
            entry(o.url("/a.raw", scheme="https"), checksums=o.url("/SUMS", scheme="https"), keys="keys.gpg", **more)
        )
        options: dict[str, Any] = {"catalogues": [str(file)], "fetch_ca": str(tmp_path / "ca.pem")}
        async with world(tmp_path / "data", **options) as w:
            (small,) = [one for one in (await w.ok("POST", "/m/catalogue"))["images"] if one["name"] == "small-1"]
            assert small["trust"] == "signed"
            good, other = (one.beside(sums) if beside else one.inside(sums) for one in signers)
            spoiled = sums.replace(b"a.raw", b"b.raw")
            for text, signature, said in (
                (sums, b"", "the checksums of 127.0.0.1 are not signed by a key of keys.gpg"),
                (sums, other, "of none of them"),
                (spoiled, good.replace(b"a.raw", b"b.raw"), "the signature is not of these bytes"),
                (sums, good, None),
            ):
                o.files["/SUMS"] = answers("200 OK", body=text if beside else signature or text)
                o.files["/SUMS.gpg"] = answers("200 OK", body=signature)
                request = {"gid": 0, "mpid": 1, "name": "a", "image": "small-1", "format": "raw"}
                started = await w.ok("PUT", "/m/media/fetch", **request)
                async with asyncio.timeout(PATIENCE):
                    await w.server.services.tasks.settle()
                task = await w.ok("POST", "/t/task", tid=started["tid"])
                assert (task["state"], said or "") == ("FAILED" if said else "DONE", said or ""), task
                assert said is None or said in task["message"]
                media = (await w.ok("POST", "/m/media/list", gid=0))["media"]
                assert len(media) == (0 if said else 1), "nothing is kept that nobody has signed"


@pytest.mark.holds("IMAGE-53")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"signature": "https://host/s", "checksums": "https://host/c"}, "needs `keys`"),
        ({"keys": "none.gpg", "checksums": "https://host/c"}, "cannot be read"),
        ({"keys": "keys.asc", "checksums": "https://host/c"}, "gpg --dearmor"),
        ({"keys": "keys.asc"}, "needs `checksums`"),
    ],
)
def test_keys_that_are_of_no_use_are_named(tmp_path: Path, more: dict[str, str], said: str) -> None:
    (tmp_path / "keys.asc").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    (tmp_path / "more.toml").write_text(entry("https://host/a", **more))
    with pytest.raises(CatalogueError, match=r"more\.toml") as wrong:
        load([tmp_path / "more.toml"])
    assert said in str(wrong.value)


@pytest.mark.holds("IMAGE-47")
@pytest.mark.parametrize(
    ("text", "digits"),
    [
        (f"{'a' * 128}  x.img\n{'b' * 128}  a.img\n", "b" * 128),
        (f"{'B' * 64} *a.img\n", "b" * 64),
        (f"-----BEGIN PGP SIGNED MESSAGE-----\n# a.img: 5 bytes\nSHA256 (a.img) = {'b' * 64}\n", "b" * 64),
        (f"{'b' * 128}\n", "b" * 128),
        (f"{'b' * 96}  a.img\n", None),
        (f"{'b' * 64}  aXimg\n{'b' * 64}  b/a.img\n", None),
        ("", None),
    ],
)
def test_checksums_are_found_in_every_form_that_distributions_have(text: str, digits: str | None) -> None:
    found = checksums.find(text, "a.img", "there")
    assert (found and found.digits) == digits
    assert found is None or found.algorithm == {64: "sha256", 128: "sha512"}[len(found.digits)]


@pytest.mark.holds("IMAGE-42")
async def test_what_is_no_image_and_what_says_two_things_is_refused(w: World) -> None:
    request = {"gid": 0, "mpid": 1, "name": "a"}
    for more, field in (
        ({}, "url"), ({"image": "nothing"}, "image"), ({"image": "debian-13", "url": "https://a/b"}, "url"),
        ({"image": "debian-13", "sha256": "0" * 64}, "sha256"),
    ):  # fmt: skip
        answer = await w.call("PUT", "/m/media/fetch", **request, **more)
        assert (answer.status, answer["field"]) == (400, field)
    assert (await w.ok("POST", "/m/media/list", gid=0))["media"] == []


@pytest.mark.holds("IMAGE-43")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[images]]", "name"),
        (entry("http://host/a"), "http:// needs the `sha256`"),
        (entry("https://user@host/a"), "a user or a password"),
        (entry("https://host/a", sha256="0"), "sha256"),
        (entry("https://host/a", checksums="http://host/b"), "http:// needs"),
        (entry("https://host/a", checksums="https://host/b", sha256="0" * 64), "exclude each other"),
        (entry("https://host/a", name="A B"), "name"),
        (entry("https://host/a", checksum="x"), "checksum"),
        ("[[images", "more.toml"),
    ],
)
def test_a_catalogue_that_is_wrong_is_named_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "more.toml"
    file.write_text(text)
    with pytest.raises(CatalogueError, match=r"more\.toml") as wrong:
        load([file])
    assert said in str(wrong.value)


@pytest.mark.holds("IMAGE-43")
def test_one_of_the_same_name_takes_the_place_of_another_and_has_another_origin(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read"):
        load([tmp_path / "none.toml"])
    plain, file = load([]).known, tmp_path / "more.toml"
    file.write_text(entry("https://host/a", name="debian-13"))
    changed = load([file]).known
    assert set(changed) == set(plain) and changed["debian-13"].origin != plain["debian-13"].origin
    text = BUILT_IN.read_text()
    assert "sha256 =" not in text and "tried =" not in text, "nobody has fetched one of these, so nothing is claimed"
    assert all(one.url.startswith("https://") for one in plain.values())
