"""What came of a plan: DVH metrics and goals, read from the files that the exporter left."""

from typing import Any

from pydantic import BaseModel, Field, ValidationError
from radiarch_common.errors import UnavailableError
from radiarch_common.objects import ObjectStore
from radiarch_common.result import GoalResult
from radiarch_common.telemetry import get_logger

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.artifacts.store import content
from radiarch_gateway.errors import DamagedError

JSON = "application/json"

log = get_logger(__name__)


class StructureMetrics(BaseModel):
    """Dose and volume of one structure."""

    structure: str
    volume_cc: float
    metrics: dict[str, float] = Field(description='Such as `{"D95%[Gy]": 58.2}`; Gy means Gy(RBE).')


class Outcome(BaseModel):
    """Metrics of each structure, and the goals."""

    structures: list[StructureMetrics]
    goals: list[GoalResult]
    uncertainty: dict[str, Any] | None = Field(description="Statistical, of the final dose: 1 sigma, %.")
    warnings: list[str] = Field(description="What the case and the planner warned of.")


class _DvhFile(BaseModel):
    """What is read of ``dvh.json``."""

    curves: list[StructureMetrics]


class _PlanFile(BaseModel):
    """What is read of ``plan.json``."""

    goals: list[GoalResult] = Field(default_factory=list)
    uncertainty: dict[str, Any] | None = None
    warnings: dict[str, list[str]] = Field(default_factory=dict)


def outcome(objects: ObjectStore, rows: list[ArtifactRow]) -> tuple[Outcome | None, str | None]:
    """The outcome, and why there is none although there should be."""
    files = {row.kind: row for row in rows if row.media_type == JSON}
    dvh, report = files.get("DVH"), files.get("REPORT")
    if dvh is None or report is None:
        return None, "The exporter left no dvh.json and plan.json." if rows else None
    try:
        curves = _DvhFile.model_validate_json(content(objects, dvh)).curves
        plan = _PlanFile.model_validate_json(content(objects, report))
    except UnavailableError as error:
        return None, f"{error.neighbour} is not reachable."
    except DamagedError as error:
        return None, str(error)
    except ValidationError as error:
        log.error("report of a plan cannot be read", job_id=dvh.job_id, errors=error.error_count())
        return None, "dvh.json or plan.json are of a version that this gateway does not read."
    warnings = [line for origin, lines in plan.warnings.items() if origin != "request" for line in lines]
    return Outcome(structures=curves, goals=plan.goals, uncertainty=plan.uncertainty, warnings=warnings), None
