"""The files of the host's own pool: objects of machines, which are created at their first start."""

from __future__ import annotations

import os
import shutil

from velocity.storage.directory.files import PoolFiles
from velocity.storage.port import Belongs


class HostFiles(PoolFiles):
    """The files of the host's own pool."""

    def provide(self, name: str, template: int) -> None:
        """Create a file with these bytes, unless it exists, durably, in its place. One call at a time for each name."""
        draft = self._hidden(name)
        if self.places.kept(name).is_file():
            return
        try:
            descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as target, os.fdopen(template, "rb", closefd=False) as source:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(descriptor)
            self._put(name, Belongs.KEPT)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def remove(self, name: str) -> None:
        """Remove it permanently, wherever it is."""
        for file in (self.places.kept(name), self._hidden(name), self.places.trash / name):
            if file.exists():
                file.unlink()
