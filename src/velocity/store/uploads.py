"""The queries of uploads over several requests."""

from __future__ import annotations

from uuid import UUID

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from velocity.contract.media import ResumableUpload
from velocity.media.rules import StoredUpload
from velocity.store.database import Database
from velocity.store.tables import uploads


class SqlUploads:
    """Implements `velocity.media.port.UploadStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load_uploads(self) -> list[StoredUpload]:
        def work(connection: Connection) -> list[StoredUpload]:
            return [
                StoredUpload(
                    name=row.name,
                    mid=UUID(row.mid),
                    uid=row.uid,
                    request=msgspec.json.decode(row.request, type=ResumableUpload),
                    received=row.received,
                    begun=row.begun,
                    heard=row.heard,
                )
                for row in connection.execute(select(uploads))
            ]

        return self._database.read(work)

    async def add_upload(self, upload: StoredUpload) -> None:
        row = {
            "name": upload.name,
            "mid": str(upload.mid),
            "uid": upload.uid,
            "gid": upload.request.gid,
            "request": msgspec.json.encode(upload.request).decode(),
            "received": upload.received,
            "begun": upload.begun,
            "heard": upload.heard,
        }
        await self._database.write(lambda connection: connection.execute(insert(uploads).values(row)) and None)

    async def note_upload(self, name: str, received: int, heard: int) -> None:
        statement = update(uploads).where(uploads.c.name == name).values(received=received, heard=heard)
        await self._database.write(lambda connection: connection.execute(statement) and None)

    async def remove_upload(self, name: str) -> None:
        statement = delete(uploads).where(uploads.c.name == name)
        await self._database.write(lambda connection: connection.execute(statement) and None)
