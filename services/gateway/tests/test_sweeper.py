"""What nothing names goes after a while; what may be named stays."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from radiarch_common.files import PART_PREFIX
from radiarch_common.messages import utc_now
from radiarch_common.objects import FolderStore
from radiarch_common.settings import Settings
from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.db import Database
from radiarch_gateway.erasures.models import ErasureRow
from radiarch_gateway.errors import StorageFullError
from radiarch_gateway.housekeeping.lease import Lease
from radiarch_gateway.housekeeping.quota import refuse_when_full
from radiarch_gateway.housekeeping.sweeper import Sweeper
from radiarch_gateway.jobs.models import JobRow, JobState, TombstoneRow
from radiarch_gateway.plans.models import PlanRow
from sqlmodel import Session, col, select

LONG_AGO = timedelta(days=30)
QUOTA_GB = 1e-8


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path / 'radiarch.db'}")
    found.migrate()
    yield found
    found.close()


@pytest.fixture
def objects(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def sweeper(database: Database, objects: FolderStore) -> Sweeper:
    return Sweeper(Settings(job_deadline_h=48, retention_days=10, objects_quota_gb=QUOTA_GB), database, objects)


def add_job(session: Session, job_id: str, at: datetime, state: JobState = JobState.SUCCEEDED, **own: Any) -> None:  # noqa: ANN401
    plan: dict[str, Any] = {
        "study_instance_uid": "1.2",
        "pacs": "main",
        "workflow": "w",
        "requested": {},
        "resolved": {},
    }
    session.add(PlanRow(id=job_id, created_at=at, clinic_id="main", asked_by="x", body_sha256="0" * 64, **plan))
    session.flush()
    finished = at if state.final else None
    times = {"created_at": at, "updated_at": at, "deadline": at, "finished_at": finished}
    session.add(JobRow(id=job_id, state=state.value, **times, **own))
    session.flush()


def test_only_what_no_living_job_can_name_is_swept(
    database: Database, objects: FolderStore, sweeper: Sweeper, tmp_path: Path
) -> None:
    """Fails when a named, young, unknown or living job's output goes, or an old attempt's or a half case stays."""
    old = utc_now() - LONG_AGO
    with database.writing() as session:
        add_job(session, "done", old, case_key="cases/a", result_key="results/done/1-2-9")
        session.add(
            ArtifactRow(
                id="f",
                job_id="done",
                position=0,
                name="f",
                kind="REPORT",
                media_type="text/csv",
                key="artifacts/done/1/f",
                sha256="0" * 64,
                size_bytes=1,
            )
        )
        add_job(session, "running", old, JobState.RUNNING, case_key="cases/a")
        add_job(session, "failed", old, JobState.FAILED, case_key="cases/a")
        add_job(session, "lettered", old, JobState.FAILED, case_key="cases/a", stage="exporter")
        add_job(session, "before", old)
        times: dict[str, Any] = {"created_at": old, "what": "plan", "state": "done"}
        session.add(TombstoneRow(job_id="told", erased_at=old))
        session.add(ErasureRow(id="e", clinic_id="main", asked_by="x", plan_ids=["erased"], **times))
    named = [
        "artifacts/done/1/f",
        "results/done/1-2-9/result.json",
        "results/running/1-1-1/dose_gy.nrrd",
        "results/lettered/1-1-1/result.json",
        "results/before/1-1-1/result.json",
        "results/unknown/1-1-1/result.json",
        "cases/a/case.json",
        "cases/a/ct.nrrd",
    ]
    unnamed = [
        "artifacts/done/2/f",
        "results/done/1-1-3/result.json",
        "results/done/1-2-90/result.json",
        "results/failed/1-1-1/dose_gy.nrrd",
        "results/erased/1-1-1/dose_gy.nrrd",
        "results/told/1-1-1/dose_gy.nrrd",
        "cases/b/ct.nrrd",
    ]
    for key in (*named, *unnamed):
        objects.put(key, b"x")
    part = tmp_path / "objects" / "cases" / f"{PART_PREFIX}1"
    part.write_bytes(b"x")
    assert sweeper.sweep() == 0  # young
    for path in (tmp_path / "objects").rglob("*"):
        os.utime(path, (old.timestamp(), old.timestamp()))
    assert sweeper.sweep() == len(unnamed) + 1
    assert list(objects.keys("")) == sorted(named)
    assert not part.exists()


def test_plans_expire_when_they_have_ended_long_ago(database: Database, sweeper: Sweeper) -> None:
    """Fails when a living or a young plan expires, an old one does not, or it is asked for twice."""
    now = utc_now()
    with database.writing() as session:
        add_job(session, "old", now - LONG_AGO)
        add_job(session, "young", now - timedelta(days=9))
        add_job(session, "running", now - LONG_AGO, JobState.RUNNING)
    assert (sweeper.expire(), sweeper.expire()) == (1, 0)
    with database.reading() as session:
        found = session.exec(select(ErasureRow).order_by(col(ErasureRow.id))).one()
    assert (found.subject, found.asked_by, found.pacs) == ("old", "retention", False)


def test_above_the_quota_no_plan_is_taken(database: Database, objects: FolderStore, sweeper: Sweeper) -> None:
    """Fails when the count or the comparison is wrong."""
    objects.put("cases/a/ct.nrrd", b"x" * 8)
    assert sweeper.count() == 8
    refuse_when_full(database, QUOTA_GB)
    objects.put("results/a/1/x", b"x" * 8)
    assert sweeper.count() == 16
    with pytest.raises(StorageFullError, match="quota"):
        refuse_when_full(database, QUOTA_GB)


def test_one_holds_the_lease_until_it_runs_out(database: Database) -> None:
    """Fails when two hold it at once, or a dead holder keeps it."""
    one, other = (Lease(database, "x", timedelta(hours=1)) for _ in range(2))
    assert (one.take(), one.take(), other.take()) == (True, True, False)
    one.give_back()
    assert (other.take(), one.take()) == (True, False)
    short = Lease(database, "y", timedelta(0))
    assert short.take()
    assert Lease(database, "y", timedelta(0)).take()
