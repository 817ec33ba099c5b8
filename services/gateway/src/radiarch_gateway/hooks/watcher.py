"""The look into one PACS, again and again: the cursor over its changes is the truth, a hint only hurries it."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final, Protocol

from radiarch_common.errors import UnavailableError
from radiarch_common.messages import utc_now
from radiarch_common.settings import WebPacsSettings
from radiarch_common.telemetry import get_logger
from sqlalchemy.exc import SQLAlchemyError

from radiarch_gateway.errors import NotReadyError
from radiarch_gateway.hooks.models import ChangedStudyRow, WatchRow
from radiarch_gateway.hooks.orthanc import Change, Orthanc, StudyAnswer, UnreadableError
from radiarch_gateway.hooks.store import LostError, WatchStore
from radiarch_gateway.hooks.study import Study

CHECK_S: Final = 1.0
"""How often a gateway sees whether another one was woken."""
UNSTABLE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
LONGEST_RETRY_S: Final = 3600.0
KINDS: Final = frozenset({"NewStudy", "NewSeries", "NewInstance", "StableStudy", "StableSeries"})

log = get_logger(__name__)


class Judge(Protocol):
    """Whoever decides what becomes of a study."""

    async def interested(self) -> bool:
        """Whether anything can become of any study now."""
        ...

    async def judge(self, study: Study) -> None:
        """Decide, once and for all until the study changes. Raises NotReadyError when that is not possible yet."""
        ...


class Watcher:
    """Watches one PACS. Every gateway has one for each; the database says whose turn it is."""

    def __init__(self, orthanc: Orthanc, settings: WebPacsSettings, store: WatchStore, judge: Judge) -> None:
        self.orthanc = orthanc
        self.store = store
        self._settings = settings
        self._judge = judge
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    async def look_up(self, study_instance_uid: str) -> tuple[Study, bool] | None:
        """A study as it is now, and whether it is settled; ``None`` when it is not there.

        Raises UnavailableError, UnreadableError.
        """
        orthanc_id = await self.orthanc.find(study_instance_uid)
        found = None if orthanc_id is None else await self.orthanc.study(orthanc_id)
        if found is None:
            return None
        await self.orthanc.read_clock()
        return await self.orthanc.content(found), self._unsettled_for(found) is None

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self._turn()
                except SQLAlchemyError as error:
                    log.warning("watch waits for the database", pacs=self.orthanc.name, error=type(error).__name__)
                except LostError as error:
                    log.warning("look broken off", reason=str(error))
                await self._wait()
        finally:
            await self.orthanc.close()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(min(CHECK_S, self._settings.look_every_s)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _turn(self) -> None:
        row = await asyncio.to_thread(self.store.begin)
        if row is None or row.holder is None:
            return
        error: str | None = None
        try:
            await self._look(row, row.holder)
            pause = await self._until_next()
        except (UnavailableError, UnreadableError) as caught:
            error = str(caught)
            pause = min(self._settings.look_every_s * 2.0 ** min(row.failures, 16), LONGEST_PAUSE_S)
            log.warning("look failed", pacs=self.orthanc.name, reason=error, next_in_s=round(pause))
        except asyncio.CancelledError:
            await asyncio.to_thread(self.store.let_go, row.holder)
            raise
        await asyncio.to_thread(self.store.end, row.holder, timedelta(seconds=pause), error)

    async def _until_next(self) -> float:
        due = await asyncio.to_thread(self.store.next_judgement_at)
        every = self._settings.look_every_s
        return every if due is None else min(every, max((due - utc_now()).total_seconds(), 0.0))

    async def _look(self, row: WatchRow, holder: str) -> None:
        await self.orthanc.read_clock()
        last = await self.orthanc.last_change()
        if row.cursor is None or last < row.cursor or not await self._read_on(row.cursor, row.mark, last, holder):
            await self._read_all(last, holder)
        await self._judge_changed(holder)

    async def _read_all(self, last: int, holder: str) -> None:
        """First the cursor, then the list: what comes in between is in both."""
        mark = next((one.mark for one in (await self._after(last - 1)) if one.number == last), None)
        studies = await self.orthanc.studies()
        await asyncio.to_thread(self.store.start_anew, holder, last, mark, studies)
        log.info("whole archive listed", pacs=self.orthanc.name, studies=len(studies), change=last)

    async def _after(self, change: int) -> list[Change]:
        return (await self.orthanc.changes(max(change, 0))).changes

    async def _read_on(self, cursor: int, mark: str | None, last: int, holder: str) -> bool:
        """Read the changes after the cursor; ``False``: this is not the archive that the cursor is of."""
        if last == cursor and mark is None:
            return True
        done = False
        while not done:
            page = await self.orthanc.changes(max(cursor - 1, 0))
            changes = page.changes
            if changes and changes[0].number == cursor:
                if mark is not None and changes[0].mark != mark:
                    return False
                mark = changes[0].mark
                changes = changes[1:]
            done = page.done or not changes
            if changes:
                cursor, mark = changes[-1].number, changes[-1].mark
                studies = await self._studies_of(changes)
                await asyncio.to_thread(self.store.read_up_to, holder, cursor, mark, studies)
        return True

    async def _studies_of(self, changes: Iterable[Change]) -> set[str]:
        found: set[str] = set()
        parents: dict[str, str] = {}
        for change in changes:
            if change.kind not in KINDS:
                continue
            if change.level == "Study":
                found.add(change.orthanc_id)
            elif change.level in ("Series", "Instance"):
                await self._learn_parent(change, parents)
                found |= {parents[change.orthanc_id]} if change.orthanc_id in parents else set[str]()
        return found

    async def _learn_parent(self, change: Change, parents: dict[str, str]) -> None:
        """Of everything in the same study too: a study sends a change for every instance."""
        if change.orthanc_id in parents:
            return
        study = await self.orthanc.parent_study(change.level, change.orthanc_id)
        if study is None:  # deleted since
            return
        parents[change.orthanc_id] = study.orthanc_id
        for series in await self.orthanc.series(study.orthanc_id):
            parents[series.orthanc_id] = study.orthanc_id
            parents.update(dict.fromkeys(series.instances, study.orthanc_id))

    async def _judge_changed(self, holder: str) -> None:
        if not await self._judge.interested():
            await asyncio.to_thread(self.store.forget_changes)
            return
        while rows := await asyncio.to_thread(self.store.to_judge):
            for row in rows:
                await asyncio.to_thread(self.store.renew, holder)
                await self._one(row)

    async def _one(self, row: ChangedStudyRow) -> None:
        try:
            study = await self.orthanc.study(row.orthanc_id)
            waits_s = None if study is None else self._unsettled_for(study)
            if study is not None and waits_s is not None:
                await self._later(row, waits_s, "Images are still coming.")
                return
            if study is not None:
                await self._judge.judge(await self.orthanc.content(study))
            await asyncio.to_thread(self.store.judged, row)
        except NotReadyError as error:
            await self._later(row, float(error.retry_after_s), str(error))
        except UnreadableError as error:
            log.warning("study cannot be read", pacs=self.orthanc.name, orthanc_id=row.orthanc_id, reason=str(error))
            wait_s = min(self._settings.look_every_s * 2.0 ** min(row.tries, 16), LONGEST_RETRY_S)
            await self._later(row, wait_s, str(error), failed=True)

    async def _later(self, row: ChangedStudyRow, seconds: float, why: str, *, failed: bool = False) -> None:
        await asyncio.to_thread(self.store.later, row, timedelta(seconds=seconds), why, failed=failed)

    def _unsettled_for(self, study: StudyAnswer) -> float | None:
        """Seconds until it is worth while to look again; ``None``: now."""
        if not study.stable:
            return UNSTABLE_S
        # A restart makes every study stable: its own silence must tell.
        quiet_for = (utc_now() - self.orthanc.our_time(study.last_update)).total_seconds()
        return None if quiet_for >= self._settings.quiet_s else self._settings.quiet_s - quiet_for
