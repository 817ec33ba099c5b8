"""Orthanc's own REST API, read only: changes, studies, and what is in one.

References
----------
The Orthanc Book, "REST API of Orthanc", "Tracking changes". Times of Orthanc are UTC, to the second.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

import httpx
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from radiarch_common.errors import RadiarchError, UnavailableError
from radiarch_common.messages import utc_now
from radiarch_common.settings import WebPacsSettings

from radiarch_gateway.hooks.study import Series, StructureSet, StructureSetTags, Study

PAGE = 1000
LONGEST_WAIT_S = 20.0
MOST_BYTES = 128 * 1024 * 1024
"""Of one answer: a structure set without its contour points has a few million bytes."""
TIME = "%Y%m%dT%H%M%S"
PARALLEL = 4

T = TypeVar("T")


class UnreadableError(RadiarchError):
    """One study, or something in it, cannot be read; others can."""


class Change(BaseModel):
    """Something that happened in the archive."""

    number: int = Field(alias="Seq")
    kind: str = Field(alias="ChangeType")
    level: str = Field(alias="ResourceType")
    orthanc_id: str = Field(alias="ID")
    date: str = Field(alias="Date")

    @property
    def mark(self) -> str:
        """Tells this change from another archive's under the same number."""
        return f"{self.kind} {self.orthanc_id} {self.date}"


class Changes(BaseModel):
    """Some changes, in their order."""

    changes: list[Change] = Field(alias="Changes")
    done: bool = Field(alias="Done")
    last: int = Field(alias="Last")


class _StudyTags(BaseModel):
    study_instance_uid: str = Field(alias="StudyInstanceUID")
    description: str = Field(default="", alias="StudyDescription")


class StudyAnswer(BaseModel):
    """A study, as Orthanc lists it."""

    orthanc_id: str = Field(alias="ID")
    stable: bool = Field(alias="IsStable")
    last_update: str = Field(alias="LastUpdate")
    tags: _StudyTags = Field(alias="MainDicomTags")


class _SeriesTags(BaseModel):
    uid: str = Field(alias="SeriesInstanceUID")
    modality: str = Field(default="", alias="Modality")
    description: str = Field(default="", alias="SeriesDescription")


class SeriesAnswer(BaseModel):
    """A series, as Orthanc lists it."""

    orthanc_id: str = Field(alias="ID")
    instances: list[str] = Field(alias="Instances")
    last_update: str = Field(alias="LastUpdate")
    tags: _SeriesTags = Field(alias="MainDicomTags")


class _InstanceTags(BaseModel):
    sop_uid: str = Field(alias="SOPInstanceUID")


class _InstanceAnswer(BaseModel):
    orthanc_id: str = Field(alias="ID")
    tags: _InstanceTags = Field(alias="MainDicomTags")


class _Found(BaseModel):
    orthanc_id: str = Field(alias="ID")
    level: str = Field(alias="Type")


_IDS = TypeAdapter(list[str])
_SERIES = TypeAdapter(list[SeriesAnswer])
_INSTANCES = TypeAdapter(list[_InstanceAnswer])
_FOUND = TypeAdapter(list[_Found])
_TAGS = TypeAdapter(StructureSetTags)
_STUDY = TypeAdapter(StudyAnswer)
_CHANGES = TypeAdapter(Changes)


class Orthanc:
    """One Orthanc, by the name of its PACS. Every question may raise UnavailableError or UnreadableError."""

    def __init__(
        self, name: str, root: str, settings: WebPacsSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name = name
        self._ahead = timedelta()
        password = settings.password.get_secret_value() if settings.password else ""
        self._http = httpx.AsyncClient(
            base_url=root.rstrip("/"),
            auth=(settings.username, password) if settings.username else None,
            timeout=min(settings.timeout_s, LONGEST_WAIT_S),
            trust_env=False,
            transport=transport,
        )

    async def read_clock(self) -> None:
        """Learn by how much Orthanc's clock is ahead of ours."""
        told = _time((await self._get("/tools/now")).decode("ascii", "replace").strip())
        self._ahead = told - utc_now()

    def our_time(self, told: str) -> datetime:
        """A time that Orthanc tells, by our clock as it was last compared. Raises UnreadableError."""
        return _time(told) - self._ahead

    async def last_change(self) -> int:
        """Number of the latest change; 0 when there was none."""
        return (await self._read(_CHANGES, "/changes?last")).last

    async def changes(self, since: int) -> Changes:
        """Changes after a number, at most ``PAGE``."""
        return await self._read(_CHANGES, f"/changes?since={since}&limit={PAGE}")

    async def studies(self) -> list[str]:
        """Orthanc's names of all studies."""
        return await self._read(_IDS, "/studies")

    async def study(self, orthanc_id: str) -> StudyAnswer | None:
        """One study; ``None`` when it is not there any more."""
        return await self._read_if_there(_STUDY, f"/studies/{orthanc_id}")

    async def parent_study(self, level: str, orthanc_id: str) -> StudyAnswer | None:
        """The study of a series or an instance; ``None`` when it is not there any more."""
        return await self._read_if_there(_STUDY, f"/{_PLURAL[level]}/{orthanc_id}/study")

    async def series(self, orthanc_id: str) -> list[SeriesAnswer]:
        """The series of a study."""
        return await self._read(_SERIES, f"/studies/{orthanc_id}/series")

    async def find(self, study_instance_uid: str) -> str | None:
        """Orthanc's name of a study; ``None`` when it is not there."""
        answer = await self._send("POST", "/tools/lookup", study_instance_uid)
        found = _validated(_FOUND, answer)
        return next((one.orthanc_id for one in found if one.level == "Study"), None)

    async def content(self, study: StudyAnswer) -> Study:
        """What is in a study. Only structure sets are opened; instances come by their names."""
        listed = await self.series(study.orthanc_id)
        instances = await self._read(_INSTANCES, f"/studies/{study.orthanc_id}/instances")
        sop_uids = {one.orthanc_id: one.tags.sop_uid for one in instances}
        series = tuple(
            Series(
                uid=one.tags.uid,
                modality=one.tags.modality,
                description=one.tags.description,
                arrived_at=self.our_time(one.last_update),
                sop_uids=frozenset(sop_uids[name] for name in one.instances if name in sop_uids),
            )
            for one in listed
        )
        return Study(
            pacs=self.name,
            study_instance_uid=study.tags.study_instance_uid,
            description=study.tags.description,
            series=series,
            structure_sets=await self._structure_sets(listed),
        )

    async def _structure_sets(self, listed: list[SeriesAnswer]) -> tuple[StructureSet, ...]:
        few = asyncio.Semaphore(PARALLEL)

        async def read(series: SeriesAnswer, name: str) -> StructureSet | None:
            async with few:
                tags = await self._read(_TAGS, f"/instances/{name}/simplified-tags")
            return None if tags.ours else tags.structure_set(self.our_time(series.last_update))

        drawn = [one for one in listed if one.tags.modality == "RTSTRUCT"]
        found = await asyncio.gather(*(read(one, name) for one in drawn for name in one.instances))
        return tuple(one for one in found if one is not None)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _read(self, kind: TypeAdapter[T], path: str) -> T:
        return _validated(kind, await self._get(path))

    async def _read_if_there(self, kind: TypeAdapter[T], path: str) -> T | None:
        try:
            return await self._read(kind, path)
        except _GoneError:
            return None

    async def _get(self, path: str) -> bytes:
        return await self._send("GET", path)

    async def _send(self, method: str, path: str, content: str | None = None) -> bytes:
        neighbour = f"Orthanc of PACS '{self.name}'"
        try:
            async with self._http.stream(method, path, content=content) as answer:
                _check_status(answer, neighbour)
                return await _whole(answer)
        except (httpx.HTTPError, AttributeError) as error:
            # AttributeError: below httpx a connection that is reset while it is made is asked for its peer (anyio).
            raise UnavailableError(neighbour, type(error).__name__) from error


class _GoneError(UnreadableError):
    """Orthanc knows nothing by this name."""


_PLURAL = {"Series": "series", "Instance": "instances"}


def _check_status(answer: httpx.Response, neighbour: str) -> None:
    if answer.status_code == HTTPStatus.NOT_FOUND:
        raise _GoneError("It was deleted while it was read.")
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise UnavailableError(neighbour, "it refuses our account")
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        raise UnavailableError(neighbour, "it answers 503")
    if not answer.is_success:
        raise UnreadableError(f"Orthanc answers {answer.status_code} for a part of it.")


async def _whole(answer: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.aiter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            raise UnreadableError(f"A part of it is larger than {MOST_BYTES // 1024 // 1024} MiB.")
        parts.append(part)
    return b"".join(parts)


def _validated(kind: TypeAdapter[T], answer: bytes) -> T:
    try:
        return kind.validate_json(answer)
    except ValidationError as error:
        # Its text would quote what was read.
        raise UnreadableError(f"Orthanc's answer is not of the form that is known ({error.error_count()}).") from None


def _time(told: str) -> datetime:
    try:
        return datetime.strptime(told, TIME).replace(tzinfo=UTC)
    except ValueError:
        raise UnreadableError("Orthanc tells a time in a form that is not known.") from None
