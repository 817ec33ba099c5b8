"""Object store: a folder, or any S3 through the ``minio`` SDK, behind one interface.

Keys look like paths (``cases/<sha256>/ct.nrrd``). An object is written whole or not at all, and is never
changed afterwards: what it holds is known by its key.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from time import time
from typing import BinaryIO, Protocol

import urllib3
from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.error import MinioException, S3Error
from urllib3.response import BaseHTTPResponse

from radiarch_common.errors import UnavailableError
from radiarch_common.files import PART_PREFIX, write_whole
from radiarch_common.settings import Settings

_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")


class ObjectMissingError(KeyError):
    """No object has this key."""


CHUNK_BYTES = 1 << 20
"""What a reader of a part holds at once."""

KEPT_CONNECTIONS = 10
"""Connections to an S3 server that are kept for the next request; more threads than that open one each time."""

TOUCH_AFTER_S = 3600.0
"""An object used within the last hour is not marked again: a mark is a request, and which hour it was is enough."""


@dataclass(frozen=True)
class ObjectEntry:
    """What a store tells about an object without reading it; ``used_at``: when it was put or last touched, UTC."""

    key: str
    size_bytes: int
    used_at: datetime


class ObjectStore(Protocol):
    """Bytes under keys."""

    def put(self, key: str, data: bytes) -> str:
        """Store ``data`` and return its SHA-256 (hex). Raises UnavailableError."""
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises ObjectMissingError, UnavailableError."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """A part of the object, from byte ``start`` on, in chunks; ``None``: all the rest.

        Raises ObjectMissingError, UnavailableError; these two before the first chunk is asked for, the latter in
        between too.
        """
        ...

    def entry(self, key: str) -> ObjectEntry:
        """What the store tells about one object. Raises ObjectMissingError, UnavailableError."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the object is there. Raises UnavailableError."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that start with ``prefix``, sorted. Raises UnavailableError."""
        ...

    def entries(self, prefix: str) -> Iterator[ObjectEntry]:
        """Objects whose key starts with ``prefix``, in no order. Raises UnavailableError."""
        ...

    def touch(self, key: str, after_s: float = TOUCH_AFTER_S) -> None:
        """Mark the object as used now, unless it was within ``after_s``; nothing happens when it is not there.

        Raises UnavailableError.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when it is not there. Raises UnavailableError."""
        ...

    def delete_below(self, folder: str) -> None:
        """Remove every object whose key starts with ``folder/``, half-written ones included.

        Nobody may be writing there. Raises UnavailableError.
        """
        ...

    def tidy(self, before: datetime) -> int:
        """Remove what a killed process had half written before a time; how many pieces. Raises UnavailableError."""
        ...


def _checked(key: str) -> str:
    if not _KEY.match(key):
        raise ValueError(f"object key {key!r} must be path segments of letters, digits, '_', '.' and '-'")
    return key


class FolderStore:
    """Objects as files under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, data: bytes) -> str:
        """See ``ObjectStore.put``; atomic by rename, flushed to disk."""
        write_whole(self._folder / _checked(key), data)
        return hashlib.sha256(data).hexdigest()

    def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        try:
            return (self._folder / _checked(key)).read_bytes()
        except FileNotFoundError:
            raise ObjectMissingError(key) from None

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See ``ObjectStore.read``."""
        try:
            file = (self._folder / _checked(key)).open("rb")
        except FileNotFoundError:
            raise ObjectMissingError(key) from None
        return _chunks(file, start, length)

    def entry(self, key: str) -> ObjectEntry:
        """See ``ObjectStore.entry``."""
        try:
            seen = (self._folder / _checked(key)).stat()
        except FileNotFoundError:
            raise ObjectMissingError(key) from None
        return ObjectEntry(key, seen.st_size, datetime.fromtimestamp(seen.st_mtime, UTC))

    def exists(self, key: str) -> bool:
        """See ``ObjectStore.exists``."""
        return (self._folder / _checked(key)).is_file()

    def keys(self, prefix: str) -> Iterator[str]:
        """See ``ObjectStore.keys``."""
        found = (p.relative_to(self._folder).as_posix() for p in self._folder.rglob("*") if p.is_file())
        yield from sorted(k for k in found if k.startswith(prefix) and not Path(k).name.startswith(PART_PREFIX))

    def entries(self, prefix: str) -> Iterator[ObjectEntry]:
        """See ``ObjectStore.entries``."""
        for path in (self._folder / prefix.rpartition("/")[0]).rglob("*"):
            key = path.relative_to(self._folder).as_posix()
            if not key.startswith(prefix) or path.name.startswith(PART_PREFIX):
                continue
            try:
                seen = path.stat()
            except FileNotFoundError:  # removed by somebody else meanwhile
                continue
            if S_ISREG(seen.st_mode):
                yield ObjectEntry(key, seen.st_size, datetime.fromtimestamp(seen.st_mtime, UTC))

    def touch(self, key: str, after_s: float = TOUCH_AFTER_S) -> None:
        """See ``ObjectStore.touch``."""
        path = self._folder / _checked(key)
        with suppress(FileNotFoundError):
            if time() - path.stat().st_mtime >= after_s:
                os.utime(path)

    def delete(self, key: str) -> None:
        """See ``ObjectStore.delete``."""
        (self._folder / _checked(key)).unlink(missing_ok=True)

    def delete_below(self, folder: str) -> None:
        """See ``ObjectStore.delete_below``."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder / _checked(folder))

    def tidy(self, before: datetime) -> int:
        """See ``ObjectStore.tidy``."""
        removed = 0
        for path in self._folder.rglob(f"{PART_PREFIX}*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    removed += 1
        return removed


def _chunks(file: BinaryIO, start: int, length: int | None) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = length
        while chunk := file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
            left = None if left is None else left - len(chunk)
            yield chunk


class S3Store:
    """Objects in one bucket of any S3; the bucket is made when it is missing."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, bucket: str, *, secure: bool) -> None:
        timeout = urllib3.Timeout(connect=5, read=60)
        retries = urllib3.Retry(total=2, backoff_factor=0.2)
        pool = urllib3.PoolManager(maxsize=KEPT_CONNECTIONS, timeout=timeout, retries=retries)
        self._client = Minio(endpoint, access_key=access_key, secret_key=secret_key, secure=secure, http_client=pool)
        self._bucket = bucket
        self._bucket_seen = False

    def _ready(self) -> Minio:
        if not self._bucket_seen:
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)
            self._bucket_seen = True
        return self._client

    def put(self, key: str, data: bytes) -> str:
        """See ``ObjectStore.put``."""
        with _s3_errors(_checked(key)):
            self._ready().put_object(self._bucket, key, BytesIO(data), len(data))
        return hashlib.sha256(data).hexdigest()

    def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        with _s3_errors(_checked(key)):
            response = self._ready().get_object(self._bucket, key)
            try:
                return response.read()
            finally:
                response.close()
                response.release_conn()

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See ``ObjectStore.read``."""
        if length == 0:  # to the SDK, no length is all the rest
            return iter(())
        with _s3_errors(_checked(key)):
            response = self._ready().get_object(self._bucket, key, offset=start, length=length or 0)
        return _received(key, response)

    def entry(self, key: str) -> ObjectEntry:
        """See ``ObjectStore.entry``."""
        with _s3_errors(_checked(key)):
            seen = self._ready().stat_object(self._bucket, key)
        return ObjectEntry(key, seen.size or 0, seen.last_modified or datetime.fromtimestamp(0, UTC))

    def exists(self, key: str) -> bool:
        """See ``ObjectStore.exists``."""
        try:
            with _s3_errors(_checked(key)):
                self._ready().stat_object(self._bucket, key)
        except ObjectMissingError:
            return False
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """See ``ObjectStore.keys``."""
        with _s3_errors(prefix):
            found = [o.object_name for o in self._ready().list_objects(self._bucket, prefix, recursive=True)]
        yield from sorted(name for name in found if name)

    def entries(self, prefix: str) -> Iterator[ObjectEntry]:
        """See ``ObjectStore.entries``; used when last modified."""
        with _s3_errors(prefix):
            found = list(self._ready().list_objects(self._bucket, prefix, recursive=True))
        for seen in found:
            if seen.object_name and seen.last_modified:
                yield ObjectEntry(seen.object_name, seen.size or 0, seen.last_modified)

    def touch(self, key: str, after_s: float = TOUCH_AFTER_S) -> None:
        """See ``ObjectStore.touch``; S3 dates an object anew when it is copied onto itself with other metadata."""
        with suppress(ObjectMissingError), _s3_errors(_checked(key)):
            now = datetime.now(UTC)
            seen = self._ready().stat_object(self._bucket, key).last_modified
            if seen is None or (now - seen).total_seconds() >= after_s:
                self._client.copy_object(
                    self._bucket,
                    key,
                    CopySource(self._bucket, key),
                    metadata={"used-at": now.isoformat()},
                    metadata_directive=REPLACE,
                )

    def delete(self, key: str) -> None:
        """See ``ObjectStore.delete``."""
        with _s3_errors(_checked(key)):
            self._ready().remove_object(self._bucket, key)

    def delete_below(self, folder: str) -> None:
        """See ``ObjectStore.delete_below``; parts of a cut-off upload are the server's to remove."""
        for key in self.keys(f"{_checked(folder)}/"):
            self.delete(key)

    def tidy(self, before: datetime) -> int:
        """See ``ObjectStore.tidy``; a server of S3 does it by a rule of its own."""
        del before
        return 0


def _received(key: str, response: BaseHTTPResponse) -> Iterator[bytes]:
    try:
        with _s3_errors(key):
            yield from response.stream(CHUNK_BYTES)
    finally:
        response.close()
        response.release_conn()


class _s3_errors:  # noqa: N801 - a context manager reads like a function
    """Turns the SDK's errors into ours."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, S3Error) and error.code in ("NoSuchKey", "NoSuchObject"):
            raise ObjectMissingError(self._key) from error
        if isinstance(error, MinioException | urllib3.exceptions.HTTPError | OSError):
            raise UnavailableError("object store", str(error)) from error


def open_objects(settings: Settings) -> ObjectStore:
    """The object store that the settings name."""
    if settings.s3 is None:
        return FolderStore(settings.objects_folder)
    s3 = settings.s3
    return S3Store(s3.endpoint, s3.access_key, s3.secret_key.get_secret_value(), s3.bucket, secure=s3.secure)
