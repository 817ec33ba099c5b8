"""A file as HTTP gives it: whole, in part, or not again."""

import base64
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.responses import StreamingResponse
from radiarch_common.objects import ObjectMissingError, ObjectStore

from radiarch_gateway.artifacts.byte_ranges import UnsatisfiableError, matches, part_of, unchanged
from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.artifacts.verified import Verified
from radiarch_gateway.errors import DamagedError
from radiarch_gateway.problems import answer, problems

IfNoneMatch = Annotated[str | None, Header()]
RangeHeader = Annotated[str | None, Header(alias="Range", description="One part, such as `bytes=0-99` or `bytes=-10`.")]
IfRange = Annotated[str | None, Header(description="An `ETag`: the part only if the file is still that one.")]

_BINARY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes; `ETag` and `Repr-Digest` tell their SHA-256.", "content": _BINARY},
    206: {"description": "The part that `Range` asked for.", "content": _BINARY},
    304: {"description": "The client's copy (`If-None-Match`) is the same."},
    **problems(404, 416, 422, 500, 503),
}


def download(
    request: Request, objects: ObjectStore, verified: Verified, row: ArtifactRow, if_none_match: str | None
) -> Response:
    """An artifact for this request; blocking.

    Raises
    ------
    DamagedError
        If its bytes are gone or changed.
    UnavailableError
        If the object store does not answer.
    """
    etag = f'"{row.sha256}"'
    digest = base64.b64encode(bytes.fromhex(row.sha256)).decode()
    headers = {
        "ETag": etag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{_plain(row.name)}"',
    }
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    verified.check(objects, row)
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(row.size_bytes)}, media_type=row.media_type)
    asked = request.headers.get("range") if unchanged(request.headers.get("if-range"), etag) else None
    try:
        part = part_of(asked, row.size_bytes)
    except UnsatisfiableError:
        detail = f"The file has {row.size_bytes} bytes: nothing of it is in that range."
        return answer(416, detail, headers={"Content-Range": f"bytes */{row.size_bytes}", "Accept-Ranges": "bytes"})
    if part is None:
        headers["Content-Length"] = str(row.size_bytes)
        return StreamingResponse(_bytes(objects, row), media_type=row.media_type, headers=headers)
    headers |= {"Content-Length": str(part.length), "Content-Range": part.of(row.size_bytes)}
    body = _bytes(objects, row, part.first, part.length)
    return StreamingResponse(body, 206, headers, media_type=row.media_type)


def _bytes(objects: ObjectStore, row: ArtifactRow, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    try:
        return objects.read(row.key, start, length)
    except ObjectMissingError as error:
        raise DamagedError(f"The bytes of {row.name} are no longer in the object store.") from error


def _plain(name: str) -> str:
    """A file name that cannot leave its quotes."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name if letter.isascii())
