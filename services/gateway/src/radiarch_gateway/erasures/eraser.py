"""Erases what was asked to be erased. Every step may be taken again: an erasure that was begun is finished.

In this order: what runs is stopped; the PACS, if asked; files; rows; the bus, which keeps a tombstone; the files of
the database. What an erasure is by is forgotten before it is done.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from radiarch_common.archive import Pacs
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.erasing import erase_messages, is_quiet
from radiarch_common.errors import UnavailableError
from radiarch_common.messages import utc_now
from radiarch_common.objects import ObjectStore
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from sqlmodel import col, select

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.bus import Link
from radiarch_gateway.db import AWAY, Database
from radiarch_gateway.erasures.cases import erase_cases, known_case, known_cases
from radiarch_gateway.erasures.models import ErasureRow, ErasureState, Kind
from radiarch_gateway.erasures.store import (
    TABLES,
    KnownCase,
    erase_decisions,
    erase_rows,
    is_referred_to,
    next_erasures,
    plans_by,
    studies_of,
)
from radiarch_gateway.errors import ConflictError, MissingError
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.jobs.store import cancel
from radiarch_gateway.mailbox import OutboxRow
from radiarch_gateway.outbox import Relay
from radiarch_gateway.plans.models import PlanRow

LOOK_S = 0.2

log = get_logger(__name__)


@dataclass(frozen=True)
class Eraser:
    """Does what lies in the erasures table."""

    settings: Settings
    database: Database
    objects: ObjectStore
    pacs: Mapping[str, Pacs]
    link: Link
    relay: Relay

    async def erase_all(self) -> None:
        """Everything that was asked for and can be done now."""
        for row in await asyncio.to_thread(self._waiting):
            try:
                await self._erase(row)
            except UnavailableError as error:
                await asyncio.to_thread(self._waits_for, row.id, error.neighbour)
            except BUS_ERRORS as error:
                log.warning("erasure waits for the bus", erasure_id=row.id, error=type(error).__name__)
                await asyncio.to_thread(self._waits_for, row.id, "message bus")
            except AWAY as error:
                log.warning("erasure waits for the database", erasure_id=row.id, error=type(error).__name__)

    async def _erase(self, row: ErasureRow) -> None:
        plan_ids = await asyncio.to_thread(self._found, row.id)
        for plan_id in plan_ids:
            await self._stop(plan_id, row)
        await asyncio.to_thread(self._look_again, row.id)
        if row.pacs:
            await asyncio.to_thread(self._erase_from_pacs, plan_ids)
        await asyncio.to_thread(self._erase_files, row.id, plan_ids)
        await asyncio.to_thread(self._erase_rows, row.id, plan_ids)
        for plan_id in plan_ids:
            await erase_messages(self.link.now(), plan_id)
        await asyncio.to_thread(self._forget, row.id)
        await asyncio.to_thread(self.database.scrub, TABLES)
        await asyncio.to_thread(self._done, row.id)
        log.info("erased", erasure_id=row.id, plans=len(plan_ids))

    def _waiting(self) -> list[ErasureRow]:
        with self.database.reading() as session:
            return next_erasures(session)

    def _waits_for(self, erasure_id: str, what: str) -> None:
        with self.database.writing() as session:
            session.get_one(ErasureRow, erasure_id).waiting_for = what[:200]

    def _found(self, erasure_id: str) -> list[str]:
        """Plans that an erasure takes, looked for once: what is erased already would not be found again."""
        with self.database.reading() as session:
            row = session.get_one(ErasureRow, erasure_id)
        if row.plan_ids is not None:
            return row.plan_ids
        cases = self._cases_by(row)
        with self.database.writing() as session:
            row = session.get_one(ErasureRow, erasure_id)
            studies = [row.subject or ""] if row.what == Kind.STUDY else [case.study_instance_uid for case in cases]
            row.plan_ids = plans_by(session, row, studies)
            row.case_keys = [case.key for case in cases]
            erase_decisions(session, row.clinic_id, row.plan_ids, [] if row.what == Kind.PLAN else studies)
            session.add(row)
            return row.plan_ids

    def _look_again(self, erasure_id: str) -> None:
        """A stage that was told to stop may have been at its last file."""
        with self.database.reading() as session:
            row = session.get_one(ErasureRow, erasure_id)
        keys = {case.key for case in self._cases_by(row)}
        with self.database.writing() as session:
            row = session.get_one(ErasureRow, erasure_id)
            row.case_keys = sorted({*row.case_keys, *keys})

    def _cases_by(self, row: ErasureRow) -> list[KnownCase]:
        """Cases that an erasure is about; of a plan that has not named its own for good, all of its study."""
        if row.subject is None:
            return []
        if row.what == Kind.PATIENT:
            return [case for case in known_cases(self.objects) if case.patient_id == row.subject]
        study = row.subject
        if row.what == Kind.PLAN:
            with self.database.reading() as session:
                plan, job = session.get(PlanRow, row.subject), session.get(JobRow, row.subject)
            if plan is None or job is None:
                return []
            if job.case_key is not None and JobState(job.state).final:
                case = known_case(self.objects, job.case_key)
                return [case] if case is not None else []
            study = plan.study_instance_uid
        return [case for case in known_cases(self.objects) if case.study_instance_uid == study]

    async def _stop(self, job_id: str, asked: ErasureRow) -> None:
        """Returns when a job is over and no worker has it any more; a worker that is dead is not waited for for ever.

        A job says that it is cancelled before its work has ended; its message goes when it has. What lies in the
        outbox is sent first: sent later, it would begin what was erased.
        """
        patience_s = self.settings.stop_within_s + 2 * self.settings.ack_wait_s
        end = time.monotonic() + patience_s
        await asyncio.to_thread(self._cancel, job_id, asked)
        self.relay.wake()
        while time.monotonic() < end:
            bus = self.link.now()
            if await asyncio.to_thread(self._is_over, job_id) and await is_quiet(bus, job_id):
                return
            await asyncio.sleep(LOOK_S)
        log.warning("a job that shall be erased does not stop; it may not commit any more", job_id=job_id)
        await is_quiet(self.link.now(), job_id, force=True)

    def _cancel(self, job_id: str, asked: ErasureRow) -> None:
        try:
            with self.database.writing() as session:
                cancel(session, job_id, asked.clinic_id, asked.asked_by)
        except (MissingError, ConflictError):  # it is gone, or over
            return

    def _is_over(self, job_id: str) -> bool:
        with self.database.reading() as session:
            job = session.get(JobRow, job_id)
            unsent = session.exec(select(OutboxRow.id).where(OutboxRow.job_id == job_id).limit(1)).first()
            return unsent is None and (job is None or JobState(job.state).final)

    def _erase_from_pacs(self, plan_ids: list[str]) -> None:
        with self.database.reading() as session:
            found = session.exec(
                select(PlanRow.pacs, ArtifactRow.sop_instance_uid)
                .join(ArtifactRow, col(ArtifactRow.job_id) == col(PlanRow.id))
                .where(col(PlanRow.id).in_(plan_ids))
            ).all()
        for name in sorted({name for name, _ in found}):
            self._archive(name).remove([uid for where, uid in found if where == name and uid is not None])

    def _archive(self, name: str) -> Pacs:
        if name not in self.pacs:
            raise UnavailableError(f"PACS '{name}'", "it is not among the settings")
        return self.pacs[name]

    def _erase_files(self, erasure_id: str, plan_ids: list[str]) -> None:
        for plan_id in plan_ids:
            self.objects.delete_below(f"results/{plan_id}")
            self.objects.delete_below(f"artifacts/{plan_id}")
        with self.database.reading() as session:
            keys = session.get_one(ErasureRow, erasure_id).case_keys
            cases = [case for key in keys if (case := known_case(self.objects, key)) is not None]
            kept = {case.key for case in cases if is_referred_to(session, case, plan_ids)}
        erase_cases(self.objects, [key for key in keys if key not in kept])
        if not keys:  # none was found, or what was found is forgotten already
            return
        with self.database.writing() as session:
            session.get_one(ErasureRow, erasure_id).cases_kept = len(kept)

    def _erase_rows(self, erasure_id: str, plan_ids: list[str]) -> None:
        with self.database.writing() as session:
            row = session.get_one(ErasureRow, erasure_id)
            if row.what != Kind.PLAN:  # a rule may have decided since
                erase_decisions(session, row.clinic_id, plan_ids, studies_of(session, plan_ids))
            for plan_id in plan_ids:
                erase_rows(session, plan_id)
            row.waiting_for = None

    def _forget(self, erasure_id: str) -> None:
        with self.database.writing() as session:
            row = session.get_one(ErasureRow, erasure_id)
            row.subject, row.case_keys = None, []

    def _done(self, erasure_id: str) -> None:
        with self.database.writing() as session:
            row = session.get_one(ErasureRow, erasure_id)
            row.state, row.finished_at = ErasureState.DONE.value, utc_now()
