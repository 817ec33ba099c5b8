"""What came of a plan: DVH metrics, goals, indices and beams, read from the files that the exporter left."""

from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError
from radiarch_common.errors import UnavailableError
from radiarch_common.objects import ObjectStore
from radiarch_common.quality import BeamStatistics, PlanIndices
from radiarch_common.result import GoalResult, Uncertainty
from radiarch_common.telemetry import get_logger
from radiarch_common.worst import WorstGoal

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


@dataclass(frozen=True)
class Outcome:
    """What the files say; ``missing`` says why they say nothing although the plan is ready."""

    dvh: tuple[StructureMetrics, ...] = ()
    goals: tuple[GoalResult, ...] = ()
    worst_goals: tuple[WorstGoal | None, ...] = ()
    indices: PlanIndices | None = None
    beams: tuple[BeamStatistics, ...] = ()
    uncertainty: Uncertainty | None = None
    warnings: tuple[str, ...] = ()
    missing: str | None = None


class _DvhFile(BaseModel):
    """What is read of ``dvh.json``."""

    curves: tuple[StructureMetrics, ...]


class _PlanFile(BaseModel):
    """What is read of ``plan.json``."""

    goals: tuple[GoalResult, ...]
    worst_goals: tuple[WorstGoal | None, ...] = ()
    indices: PlanIndices | None = None
    beam_statistics: tuple[BeamStatistics, ...] = ()
    uncertainty: Uncertainty
    warnings: dict[str, tuple[str, ...]]


def read_outcome(objects: ObjectStore, rows: list[ArtifactRow]) -> Outcome:
    """The outcome of a plan from its artifacts; nothing of it while it has none."""
    files = {row.kind: row for row in rows if row.media_type == JSON}
    dvh, report = files.get("DVH"), files.get("REPORT")
    if dvh is None or report is None:
        return Outcome(missing="The exporter left no dvh.json and plan.json." if rows else None)
    try:
        curves = _DvhFile.model_validate_json(content(objects, dvh)).curves
        plan = _PlanFile.model_validate_json(content(objects, report))
    except UnavailableError as error:
        return Outcome(missing=f"The {error.neighbour} is not reachable.")
    except DamagedError as error:
        return Outcome(missing=str(error))
    except ValidationError as error:
        log.error("report of a plan cannot be read", job_id=dvh.job_id, errors=error.error_count())
        return Outcome(missing="dvh.json or plan.json are of a version that this gateway does not read.")
    warnings = tuple(line for origin, lines in plan.warnings.items() if origin != "request" for line in lines)
    return Outcome(
        dvh=curves,
        goals=plan.goals,
        worst_goals=plan.worst_goals,
        indices=plan.indices,
        beams=plan.beam_statistics,
        uncertainty=plan.uncertainty,
        warnings=warnings,
    )
