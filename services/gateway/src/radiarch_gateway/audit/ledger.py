"""The log's only writer."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from radiarch_common.messages import utc_now
from sqlalchemy import event, insert, text
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session, col, select

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.audit.act import Act, current, outcome_of
from radiarch_gateway.audit.chain import Head, seal
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.db import Database
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.together import Together

_LOCK: Final = 0x6175_6469
_NOTED: Final = "audit"
_ASIDE: Final = "audit aside"
_ID: Final = re.compile(ID_PATTERN)


class Audit:
    """Appends acts: in the transaction of what they changed, else before their answer leaves.

    Entries are chained, so that one transaction at a time appends; requests that wait for their entry at the same
    time share one.
    """

    def __init__(self, database: Database, secret: ServerSecret) -> None:
        self._database = database
        self._secret = secret
        self._together: Together[tuple[Act, int], None] = Together(self._write, alone=(DataError, IntegrityError))
        database.before_commit = self._before_commit

    def prepare(self) -> None:
        """Read the key of the hashes: within a transaction there is no second one to be had on SQLite."""
        self._secret.key("audit")

    def hashed(self, name: str) -> str:
        """What the log calls something by: the same for the same name, and of no use without the server's secret."""
        return hmac.digest(self._secret.key("audit"), name.encode(), hashlib.sha256).hex()

    async def record(self, act: Act, status: int) -> None:
        """Return when an act is in the log. Raises what the database raises."""
        await self._together.do((act, status))

    def find_study(self, act: Act) -> None:
        """Look up which study an act is about before it can remove what tells."""
        with self._database.reading() as session:
            act.study_instance_uid = act.study_instance_uid or _study_of(session, act)

    def _write(self, batch: Sequence[tuple[Act, int]]) -> list[None]:
        with self._database.writing() as session:
            session.info[_NOTED] = list(batch)
        return [None] * len(batch)

    def _before_commit(self, session: Session) -> None:
        noted: list[tuple[Act, int | None]] = session.info.pop(_NOTED, [])
        act = current()
        aside = session.info.pop(_ASIDE, False)
        if act is not None and act.operation and not (act.written or act.silent or aside):
            noted.append((act, None))
            event.listen(session, "after_commit", partial(_mark, act), once=True)
        if noted:
            self._append(session, noted)

    def _append(self, session: Session, noted: list[tuple[Act, int | None]]) -> None:
        """Last in a transaction, so that whoever holds the lock waits for nobody."""
        session.flush()
        if self._database.kind == "postgresql":
            session.connection().execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        head = _head(session)
        entries: list[dict[str, Any]] = []
        for act, status in noted:
            entry = self._entry(session, act, status, head)
            entries.append(entry)
            head = Head(entry["sequence"], entry["hash"])
        session.connection().execute(insert(AuditRow), entries)

    def _entry(self, session: Session, act: Act, status: int | None, head: Head) -> dict[str, Any]:
        study = act.study_instance_uid or _study_of(session, act)
        entry = {
            "sequence": head.sequence + 1,
            "at": utc_now(),
            "actor": act.actor,
            "clinic_id": act.clinic_id,
            "action": act.action,
            "operation": act.operation,
            "outcome": outcome_of(status),
            "status": status,
            "study": self.hashed(study) if study else None,
            "entities": [{"kind": kind, "hash": self.hashed(name)} for kind, name in sorted(act.names.items())],
            "previous_hash": head.hash,
        }
        return {**entry, "hash": seal(entry)}


def note(session: Session, act: Act, status: int | None = None) -> None:
    """Write down what no guarded route tells, such as a login.

    Parameters
    ----------
    session
        Of the transaction that the entry is committed or rolled back with; its database must have an ``Audit``.
    status
        HTTP status of the answer; ``None``: it succeeded.
    """
    session.info.setdefault(_NOTED, []).append((act, status))


def aside(session: Session) -> None:
    """Say that a transaction is not what the act of this context does, such as the count of a try: it may yet fail."""
    session.info[_ASIDE] = True


def _mark(act: Act, _: Session) -> None:
    act.written = True


def _head(session: Session) -> Head:
    last = select(AuditRow.sequence, AuditRow.hash).order_by(col(AuditRow.sequence).desc()).limit(1)
    found = session.exec(last).one_or_none()
    return Head(*found) if found else Head()


def _study_of(session: Session, act: Act) -> str | None:
    """The study of the plan or artifact that an act names, if it is of the actor's clinic."""
    plan_id = act.names.get("plan")
    artifact_id = act.names.get("artifact")
    if plan_id is None and artifact_id is not None and _ID.fullmatch(artifact_id):
        artifact = session.get(ArtifactRow, artifact_id)
        plan_id = artifact.job_id if artifact else None
    plan = session.get(PlanRow, plan_id) if plan_id and _ID.fullmatch(plan_id) else None
    return plan.study_instance_uid if plan and plan.clinic_id == act.clinic_id else None
