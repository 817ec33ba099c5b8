"""Removes from the object store what nothing names, and counts what is left.

A stage writes its output under a key of its own attempt and names it afterwards, in the message that is its commit.
What was never named is removed once it is so old that no living job can name it any more. What this database does not
know the job of is left alone: the database may be the one that is incomplete.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from radiarch_common.messages import STAGES, utc_now
from radiarch_common.objects import ObjectEntry, ObjectStore
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from sqlmodel import Session, col, delete, select

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.db import Database
from radiarch_gateway.erasures.cases import CASES, MANIFEST
from radiarch_gateway.erasures.models import ErasureRow
from radiarch_gateway.erasures.store import ask_to_expire
from radiarch_gateway.housekeeping.models import ObjectUseRow
from radiarch_gateway.jobs.models import JobRow, JobState, TombstoneRow

DAY_H = 24.0
RESULTS = "results/"
ARTIFACTS = "artifacts/"

log = get_logger(__name__)


@dataclass(frozen=True)
class Sweeper:
    """Looks through the object store. Blocking; its methods raise UnavailableError."""

    settings: Settings
    database: Database
    objects: ObjectStore

    @property
    def age(self) -> timedelta:
        """Longer than any job lives: what is older and was not named will not be."""
        return timedelta(hours=max(self.settings.job_deadline_h, DAY_H) + DAY_H)

    def sweep(self) -> int:
        """Remove what was never named and is too old to be; how many objects."""
        before = utc_now() - self.age
        gone = [*self._unnamed(RESULTS, before), *self._unnamed(ARTIFACTS, before), *self._half_cases(before)]
        for key in gone:
            self.objects.delete(key)
        parts = self.objects.tidy(before)
        if gone or parts:
            log.info("swept what was never named", objects=len(gone), parts=parts)
        return len(gone) + parts

    def expire(self) -> int:
        """Ask for the erasure of plans that ended too long ago; how many."""
        if self.settings.retention_days is None:
            return 0
        with self.database.writing() as session:
            return ask_to_expire(session, utc_now() - timedelta(days=self.settings.retention_days))

    def count(self) -> int:
        """Note what lies in the object store; bytes in all."""
        sizes: Counter[str] = Counter()
        numbers: Counter[str] = Counter()
        for entry in self.objects.entries(""):
            kind = entry.key.partition("/")[0]
            sizes[kind] += entry.size_bytes
            numbers[kind] += 1
        now = utc_now()
        with self.database.writing() as session:
            session.exec(delete(ObjectUseRow))
            for kind, size in sizes.items():
                session.add(ObjectUseRow(kind=kind[:64], objects=numbers[kind], size_bytes=size, counted_at=now))
        return sum(sizes.values())

    def _unnamed(self, prefix: str, before: datetime) -> Iterator[str]:
        """Objects of attempts that no event names: of jobs that are over, and of those that were erased."""
        by_job: dict[str, list[ObjectEntry]] = {}
        for entry in self.objects.entries(prefix):
            if entry.used_at < before:
                by_job.setdefault(entry.key.split("/")[1], []).append(entry)
        with self.database.reading() as session:
            erased = _erased(session)
            for job_id, entries in by_job.items():
                if job_id in erased:
                    yield from (entry.key for entry in entries)
                    continue
                named = _named(session, job_id, before)
                if named is not None:
                    yield from (entry.key for entry in entries if not entry.key.startswith(named))

    def _half_cases(self, before: datetime) -> Iterator[str]:
        """Objects of cases that a killed importer left: ``case.json``, which is written last, is not there."""
        entries = list(self.objects.entries(CASES))
        whole = {entry.key.removesuffix(MANIFEST) for entry in entries if entry.key.endswith(MANIFEST)}
        newest: dict[str, datetime] = {}
        for entry in entries:
            case = "/".join(entry.key.split("/")[:2])
            newest[case] = max(newest.get(case, entry.used_at), entry.used_at)
        for entry in entries:
            case = "/".join(entry.key.split("/")[:2])
            if case not in whole and newest[case] < before:
                yield entry.key


def _erased(session: Session) -> set[str]:
    """Jobs that were erased; a database that was lost has the tombstones back, and no erasure."""
    erased = {plan_id for plan_ids in session.exec(select(ErasureRow.plan_ids)).all() for plan_id in plan_ids or ()}
    return erased | set(session.exec(select(TombstoneRow.job_id)).all())


def _named(session: Session, job_id: str, before: datetime) -> tuple[str, ...] | None:
    """What begins the keys that a job's events name; ``None`` when nothing of it may be removed.

    A job that is not over may name more. One that has not told its result (it was planned by an older version, or the
    worker died as it told) may have named any.
    """
    job = session.get(JobRow, job_id)
    if job is None or not JobState(job.state).final or job.finished_at is None or job.finished_at > before:
        return None
    keys = session.exec(select(ArtifactRow.key).where(col(ArtifactRow.job_id) == job_id)).all()
    if job.result_key is not None:
        return (*keys, f"{job.result_key}/")
    planned = bool(keys) or job.stage == STAGES[-1]
    told_nothing = job.case_key is None and job.state != JobState.CANCELLED.value
    return None if planned or told_nothing else ()
