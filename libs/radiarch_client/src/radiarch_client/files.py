"""Files of a plan: fetched whole or not at all, gone on with after a break."""

import hashlib
import os
import re
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

import httpx

from radiarch_client.core import Core, PlanRef
from radiarch_client.errors import DamagedError, NotReadyError, UnreadableError
from radiarch_client.exchange import Ask
from radiarch_client.flow import Close, Do, Flow, Read
from radiarch_client.models import ArtifactView
from radiarch_client.patience import Waits

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
"""Names that stay in their folder, and are no hidden file."""


def download(core: Core, plan: PlanRef, folder: Path) -> Flow[list[Path]]:
    """Fetch every file of a plan. Raises NotReadyError, DamagedError."""
    found = yield from core.get_plan(plan)
    if not found.artifacts and found.job.state != "succeeded":
        raise NotReadyError(f"Plan {found.id} has no files: its job is {found.job.state}.")
    targets = [folder / safe_name(artifact.name) for artifact in found.artifacts]
    yield Do(partial(folder.mkdir, parents=True, exist_ok=True))
    for artifact, target in zip(found.artifacts, targets, strict=True):
        yield from fetch(core, artifact, target)
    return targets


def fetch(core: Core, artifact: ArtifactView, target: Path) -> Flow[None]:
    """Have one file at ``target``; what is there and right stays. Raises DamagedError."""
    if (yield Do(partial(is_right, target, artifact))):
        return
    part = target.with_name(f".{target.name}.part")
    for _ in range(2):  # what was left by another run may be wrong; what was fetched just now may not
        fresh = not (yield Do(part.exists))
        yield from _fill(core, artifact, part)
        if (yield Do(partial(is_right, part, artifact))):
            yield Do(partial(os.replace, part, target))
            return
        yield Do(part.unlink)
        if fresh:
            break
    raise DamagedError(f"{artifact.name} came with other bytes than its SHA-256 says. Try again.")


def _fill(core: Core, artifact: ArtifactView, part: Path) -> Flow[None]:
    """Append what is missing, over as many connections as it takes."""
    waits = Waits(core.exchange.patience)
    while True:
        have: int = yield Do(partial(size_of, part))
        if 0 < have >= artifact.size_bytes:
            return
        response: httpx.Response = yield from core.exchange.answer(_ask(artifact, have))
        goes_on = response.status_code == HTTPStatus.PARTIAL_CONTENT
        file: BinaryIO = yield Do(partial(part.open, "ab" if goes_on else "wb"))
        broke: httpx.TransportError | None = None
        try:
            while (data := (yield Read())) is not None:
                yield Do(partial(file.write, data))
                waits = Waits(core.exchange.patience)
        except httpx.TransportError as error:
            broke = error
        finally:
            file.close()
        yield Close()
        if broke is None:
            return
        yield from waits.before_next(core.exchange.unreachable(broke), core.exchange.limit_s)


def _ask(artifact: ArtifactView, have: int) -> Ask:
    headers = {"Accept": "*/*"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": f'"{artifact.sha256}"'}
    return Ask("GET", f"/artifacts/{quote(artifact.id, safe='')}", headers=headers, opened=True)


def safe_name(name: str) -> str:
    """The name, if a file of it stays in its folder. Raises UnreadableError."""
    if NAME.fullmatch(name) is None:
        raise UnreadableError(f"The server names a file {name!r}, which this client will not write.")
    return name


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def is_right(path: Path, artifact: ArtifactView) -> bool:
    """Whether a file is there, and is the artifact."""
    if not path.is_file() or path.stat().st_size != artifact.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
