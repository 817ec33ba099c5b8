"""Which objects were found to be what was stored, so that a part of one can be given out."""

import hashlib
import threading
from collections import OrderedDict
from typing import Final

from radiarch_common.objects import ObjectEntry, ObjectMissingError, ObjectStore

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.errors import DamagedError

REMEMBERED: Final = 10_000


class Verified:
    """Reads an object whole at its first use, and remembers it by key, size and time. Safe to use from any thread."""

    def __init__(self) -> None:
        self._seen: OrderedDict[ObjectEntry, str] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, objects: ObjectStore, row: ArtifactRow) -> None:
        """Look that the bytes of an artifact are those that its job left; never holds them all.

        Raises
        ------
        DamagedError
            If they are gone or changed.
        UnavailableError
            If the object store does not answer.
        """
        try:
            entry = objects.entry(row.key)
            if not self._is_known(entry, row.sha256):
                digest = hashlib.sha256()
                for chunk in objects.read(row.key):
                    digest.update(chunk)
                if digest.hexdigest() != row.sha256:
                    raise DamagedError(f"The bytes of {row.name} are not what was stored: their SHA-256 differs.")
                self._remember(entry, row.sha256)
        except ObjectMissingError as error:
            raise DamagedError(f"The bytes of {row.name} are no longer in the object store.") from error

    def _is_known(self, entry: ObjectEntry, sha256: str) -> bool:
        with self._lock:
            return self._seen.get(entry) == sha256

    def _remember(self, entry: ObjectEntry, sha256: str) -> None:
        with self._lock:
            self._seen[entry] = sha256
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
