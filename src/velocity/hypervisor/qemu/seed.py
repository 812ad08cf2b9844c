"""The CD from which cloud-init reads: in memory only, without a name, and gone with the process that has it open.

https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import io
import os

from velocity.hypervisor.port import SeedSpec

LABEL = "CIDATA"
"""By which cloud-init knows it."""


def opened(seed: SeedSpec) -> int:
    """A descriptor that can be read only. Raises `OSError`."""
    file = os.memfd_create("cloud-init", os.MFD_CLOEXEC)
    try:
        with os.fdopen(file, "wb", closefd=False) as target:
            target.write(image(seed))
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(file)


def image(seed: SeedSpec) -> bytes:
    """An ISO 9660 file system, with the names for Linux and for Windows."""
    from pycdlib import PyCdlib  # which few machines need

    texts = {"user-data": seed.user_data, "meta-data": seed.meta_data, "network-config": seed.network_config}
    made = io.BytesIO()
    disc = PyCdlib()
    disc.new(interchange_level=3, vol_ident=LABEL, rock_ridge="1.09", joliet=3)
    for number, (name, text) in enumerate(texts.items()):
        if text:
            content = text.encode("utf-8", "replace")
            disc.add_fp(io.BytesIO(content), len(content), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    disc.write_fp(made)
    disc.close()
    return made.getvalue()
