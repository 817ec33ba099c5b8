"""Which of a beam's pieces were computed before: the cache is asked by what the engine would read.

The digest covers the files themselves, as they lie on the disk before an engine starts, and not the numbers that
they were written from: whatever is one day written for an engine is part of the key.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from radiarch_common.telemetry import get_logger
from radiarch_common.watch import Watch

from radiarch_planner.engines.build import Build
from radiarch_planner.engines.cache import BlockCache
from radiarch_planner.engines.inputs import BeamInputs
from radiarch_planner.engines.packing import PACKING, Arrays, in_c_order
from radiarch_planner.engines.processes import Runner
from radiarch_planner.engines.sparse import Index

_READING = 1
"""Version of what is read from the engine's output; to be raised when the same output is read differently."""

_log = get_logger(__name__)


@dataclass(frozen=True)
class KeptPieces:
    """Pieces of one beam that may have been kept: blocks of its beamlets, or batches of its final dose.

    Attributes
    ----------
    cache
        None: every piece is computed, and none is kept.
    shared
        Digest of what the pieces have in common.
    """

    cache: BlockCache | None
    shared: bytes

    @classmethod
    def of(cls, cache: BlockCache | None, build: Build, beam_folder: Path, *reading: bytes) -> "KeptPieces":
        """The pieces of a beam whose folder is whole, and holds no piece's own folder yet.

        ``reading`` is what else decides what becomes of the engine's output, such as the voxels that are wanted.
        """
        if cache is None:
            return cls(None, b"")
        whole = hashlib.sha256(f"{_READING} {PACKING} {build.content_sha256} {build.cpu_vendor}\n".encode())
        whole.update(_files_of(beam_folder))
        for part in reading:
            whole.update(hashlib.sha256(part).digest())
        return cls(cache, whole.digest())

    @classmethod
    def of_beam(
        cls, cache: BlockCache | None, build: Build, inputs: BeamInputs, lookup: Index | None = None
    ) -> "KeptPieces":
        """The pieces of a beam with these inputs, read in the rows of ``lookup``, or in all voxels.

        Two patients who lie differently can be one and the same to the engine; what it says of them is turned back.
        """
        turn = f"{inputs.turn.axes} {inputs.turn.signs}".encode()
        return cls.of(cache, build, inputs.folder, turn, b"all" if lookup is None else lookup.tobytes())

    def kept(self, folder: Path, runner: Runner, compute: Callable[[], Arrays]) -> Arrays:
        """What the piece in ``folder`` was computed to be before, or is computed to be now; in C order.

        Raises
        ------
        UnavailableError
            If the object store is down.
        """
        if self.cache is None:
            return in_c_order(compute())
        digest = self.digest(folder)
        found = self.cache.get(digest)
        if found is not None:
            runner.spare()
            return found
        arrays = in_c_order(compute())
        self.cache.put(digest, arrays)
        return arrays

    def digest(self, folder: Path) -> str:
        """SHA-256 over all that the engine reads for the piece in ``folder``, wherever that folder lies."""
        return hashlib.sha256(self.shared + _files_of(folder)).hexdigest()


def tell_kept(watch: Watch, what: str, kept: int, pieces: int) -> None:
    """Say how many pieces needed no engine, when there were any."""
    if kept:
        _log.info("not computed again", what=what, from_cache=kept, pieces=pieces)
        watch.progress(1.0, f"{what}: {kept} of {pieces} blocks from the cache")


def _files_of(folder: Path) -> bytes:
    """SHA-256 over the names below a folder and what they hold; the folder's own path in them does not count.

    Of a folder that is linked, such as one of the engine's materials, the name counts: what it holds is in the
    digest of the build.
    """
    whole = hashlib.sha256()
    own = str(folder).encode()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink()):
        # The engine's configuration names its working folder.
        content = path.read_bytes().replace(own, b"") if path.is_file() else path.readlink().name.encode()
        whole.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return whole.digest()
