"""The NoCloud CD for cloud-init: in memory, without a name, and gone when the last process closes it.

https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import io
import os

from velocity.hypervisor.port import SeedSpec

LABEL = "CIDATA"
"""The volume label that cloud-init looks for."""


def opened(seed: SeedSpec) -> int:
    """A read-only descriptor. Raises `OSError`."""
    file = os.memfd_create("cloud-init", os.MFD_CLOEXEC)
    try:
        with os.fdopen(file, "wb", closefd=False) as target:
            target.write(image(seed))
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(file)


def image(seed: SeedSpec) -> bytes:
    """An ISO 9660 file system with Rock Ridge and Joliet names."""
    from pycdlib import PyCdlib  # imported here because few machines need it

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
