"""Who works on a job, and how often it was tried: one entry per ``<stage>.<job>``.

The entry is written when an attempt starts and again when it ends, never in between, so the revision of
the start is a fencing token: while it stands, the job is ours. Attempts that started and never ended were
crashes. Waiting for a neighbour and a drained worker end an attempt without counting against the job.
"""

from contextlib import suppress
from dataclasses import dataclass

from nats.js.errors import BadRequestError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue
from pydantic import Field

from radiarch_common.messages import JobMessage, StageName
from radiarch_common.plans import Model

TRIES = 5
"""Crashes and failures after which a job is given up on."""
CANCELLED = "cancelled while it waited"


class ClaimEntry(Model):
    """What the bucket holds.

    Attributes
    ----------
    starts, ends
        Attempts begun and ended; the difference is crashes, and a running attempt.
    failures
        Attempts that ended in an unexpected error.
    waits
        Waits for a neighbour since something else happened; only the delay grows with it.
    done
        The stage has committed, refused, cancelled or given up on this run.
    reason
        Of the last failure or wait.
    traceback
        Of the last failure, for the dead letter.
    """

    run: int
    starts: int = 0
    ends: int = 0
    failures: int = 0
    waits: int = 0
    done: bool = False
    reason: str = Field(default="", max_length=4000)
    traceback: str = Field(default="", max_length=20000)

    @property
    def crashes(self) -> int:
        """Attempts that started and never ended (asked before a new one starts)."""
        return self.starts - self.ends

    @property
    def given_up(self) -> bool:
        """Whether the next start would be one too many."""
        return self.crashes + self.failures >= TRIES

    def why(self) -> str:
        """The reason for giving up, for a person."""
        tries = [f"failed {self.failures} times"] if self.failures else []
        tries += [f"ended its worker {self.crashes} times"] if self.crashes else []
        return f"This stage {' and '.join(tries)}." + (f" Last seen: {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Claim:
    """A job held by this worker: its entry, and the revision that fences others off.

    ``given_up``: it was tried too often, and no attempt was begun.
    """

    key: str
    entry: ClaimEntry
    token: int
    given_up: bool = False


class ClaimLostError(Exception):
    """Another worker holds the job now."""


class ClaimOverError(Exception):
    """The job is no longer to be done: this run has ended, or a newer one exists."""


class Claims:
    """The claims bucket."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def take(self, stage: StageName, job: JobMessage) -> Claim:
        """Begin an attempt; ``entry.starts`` is its number.

        Raises
        ------
        ClaimOverError
            If a higher run exists, or this run is done.
        ClaimLostError
            If another worker was quicker.
        """
        key = f"{stage}.{job.job_id}"
        found, revision = await self._read(key)
        if found is not None and (found.run > job.run or (found.run == job.run and found.done)):
            raise ClaimOverError(f"run {job.run} of {key} is over")
        entry = found if found is not None and found.run == job.run else ClaimEntry(run=job.run)
        if entry.given_up:
            return Claim(key, entry, revision, given_up=True)
        entry = entry.model_copy(update={"starts": entry.starts + 1})
        return Claim(key, entry, await self._write(key, entry, revision))

    async def token(self, key: str) -> int:
        """Revision of an entry now; 0 when there is none."""
        try:
            return (await self._bucket.get(key)).revision or 0
        except KeyNotFoundError:
            return 0

    async def run_of(self, stage: StageName, job_id: str) -> int:
        """The latest run of a job that a stage has begun; 0 when it has begun none."""
        found, _ = await self._read(f"{stage}.{job_id}")
        return found.run if found is not None else 0

    async def end(self, claim: Claim, **changes: object) -> None:
        """End an attempt; asked again, it changes nothing. Raises ClaimLostError when it is no longer ours."""
        entry = claim.entry.model_copy(update={"ends": claim.entry.ends + 1, **changes})
        try:
            await self._write(claim.key, entry, claim.token)
        except ClaimLostError:
            # A write whose answer was lost was stored all the same: any other holder would have counted a start.
            if (await self._read(claim.key))[0] != entry:
                raise

    async def cancel_waiting(self, stage: StageName, job_id: str, run: int) -> ClaimEntry | None:
        """End a run that nobody works on; ``None`` when somebody does or may, or when it is over otherwise."""
        key = f"{stage}.{job_id}"
        found, revision = await self._read(key)
        entry = found if found is not None and found.run >= run else ClaimEntry(run=run)
        if entry.done and entry.run == run and entry.reason == CANCELLED:
            return entry
        if entry.run > run or entry.done or entry.crashes > 0:
            return None
        entry = entry.model_copy(update={"done": True, "reason": CANCELLED})
        try:
            await self._write(key, entry, revision)
        except ClaimLostError:
            return None
        return entry

    async def fence(self, stage: StageName, job_id: str, run: int) -> None:
        """End a run whoever works on it: no worker may begin it any more, and one that has it may not commit."""
        key = f"{stage}.{job_id}"
        while True:
            found, revision = await self._read(key)
            if found is not None and (found.run > run or (found.run == run and found.done)):
                return
            entry = found if found is not None and found.run == run else ClaimEntry(run=run)
            with suppress(ClaimLostError):
                await self._write(key, entry.model_copy(update={"done": True, "reason": CANCELLED}), revision)

    async def is_done(self, stage: StageName, job_id: str, run: int) -> bool:
        """Whether nobody works on a run, and nobody will."""
        found, _ = await self._read(f"{stage}.{job_id}")
        return found is not None and (found.run > run or (found.run == run and found.done))

    async def _read(self, key: str) -> tuple[ClaimEntry | None, int]:
        try:
            found = await self._bucket.get(key)
        except KeyNotFoundError:
            return None, 0
        return ClaimEntry.model_validate_json(found.value or b""), found.revision or 0

    async def _write(self, key: str, entry: ClaimEntry, last: int) -> int:
        data = entry.model_dump_json().encode()
        try:
            return await (self._bucket.update(key, data, last=last) if last else self._bucket.create(key, data))
        except (KeyWrongLastSequenceError, BadRequestError) as error:
            raise ClaimLostError(f"{key} was claimed by another worker") from error
