"""A plan through the real dose engine and the real exporter into a folder PACS, its spots chosen or optimised."""

from pathlib import Path
from typing import Any

import numpy as np
import radiarch_planner
from pydicom import Dataset
from radiarch_common.case import Case, load_case
from radiarch_common.messages import ExportResult
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import Pacs, open_pacs
from radiarch_common.plans import PlanSpec
from radiarch_common.result import (
    Provenance,
    ResultBeam,
    ResultDraft,
    ResultManifest,
    Uncertainty,
    save_result,
)
from radiarch_common.settings import FolderPacsSettings, Settings
from radiarch_common.watch import QuietWatch
from radiarch_exporter.export import export_result
from radiarch_importer.build import build_case
from radiarch_planner.dose_grid import calculation_grid, ct_on_grid
from radiarch_planner.engines.base import Patient
from radiarch_planner.engines.cache import BlockCache
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.machine import read_calibration, read_machine
from radiarch_planner.plan import make_plan
from radiarch_standalone.phantom import PhantomStudy, write_phantom

from radiarch_testkit.counted_engine import CountedEngine
from radiarch_testkit.jobs import import_job
from radiarch_testkit.lying import lay

ENTRIES = Path(radiarch_planner.__file__).parent


class Bench:
    """The water phantom in a folder PACS, as it lies in some position, imported, and a way to irradiate it.

    A ``counted`` engine is used with a cache in ``objects``. ``processes`` of the engine: 0 is one for each core.
    """

    def __init__(
        self,
        folder: Path,
        *,
        dose_grid_mm: float,
        position: str = "HFS",
        counted: CountedEngine | None = None,
        processes: int = 0,
    ) -> None:
        self.objects = FolderStore(folder / "objects")
        self._settings = Settings(
            pacs={"main": FolderPacsSettings(folder=folder / "pacs")},
            work_folder=folder / "work",
            engine_processes=processes,
        )
        self.study: PhantomStudy = write_phantom(folder / "pacs")
        if position != "HFS":
            lay(folder / "pacs", position)
        self.pacs: Pacs = open_pacs(self._settings)["main"]
        uids = self.study.study_instance_uid, self.study.structure_set_uid
        key = build_case(self.pacs, self.objects, *uids, self.study.target, QuietWatch())
        self.case: Case = load_case(self.objects, key)
        manifest = self.case.manifest
        body = manifest.structure(self.study.body)
        inside = self.case.occupancy(body)
        grid = calculation_grid(manifest.grid, body.grid, inside, dose_grid_mm)
        self.patient = Patient(
            grid,
            ct_on_grid(self.case.ct_hu(), manifest.grid, body.grid, inside, grid),
            position=manifest.patient_position,
        )
        machine = read_machine(ENTRIES / "machines" / "generic-pbs")
        self._calibration = read_calibration(ENTRIES / "ct_calibrations" / "water")
        if counted is None:
            self.engine = McsquareEngine(self._settings, machine, self._calibration)
        else:
            cache, settings = BlockCache(self.objects, self.case.sha256), counted.used_by(self._settings)
            self.engine = McsquareEngine(settings, machine, self._calibration, cache=cache, cost=counted.cost)
        self._job = import_job()
        self.watch = QuietWatch()
        self.artifacts: dict[str, bytes] = {}

    @property
    def spec(self) -> PlanSpec:
        """What a plan is asked for where a test does not ask for something else."""
        return self._job.request.spec

    def plan(self, **changes: Any) -> tuple[Dataset, Dataset]:  # noqa: ANN401 - any field of a PlanSpec
        """RTPLAN and RTDOSE of an optimised plan, read back from the PACS; ``changes`` are fields of its spec."""
        return self._exported(self.plan_of(self.case, **changes))

    def plan_of(self, case: Case, **changes: Any) -> ResultDraft:  # noqa: ANN401 - any field of a PlanSpec
        """The plan of a case that may differ from the phantom's; ``changes`` are fields of its spec."""
        spec = self.spec.model_copy(update=changes)
        request = self._job.request.model_copy(update={"spec": spec})
        self.watch = QuietWatch()
        return make_plan(case, request, self.engine, self._calibration, self.watch)

    def irradiate(self, beams: tuple[ResultBeam, ...], primaries: int) -> tuple[Dataset, Dataset]:
        """RTPLAN and RTDOSE of exactly these beams, read back from the PACS."""
        spec = self.spec.model_copy(update={"primaries_final": primaries, "seed": 7})
        dose = self.engine.final_dose(self.patient, beams, spec, QuietWatch())
        build = self.engine.build
        manifest = ResultManifest(
            resolved=self._job.request.model_copy(update={"spec": spec}),
            grid=self.patient.grid,
            beams=beams,
            uncertainty=Uncertainty(percent=1.0, voxels="not looked at in this test", batches=spec.batches),
            dvh=(),
            goals=(),
            objective_course=(),
            provenance=Provenance(
                case_sha256=self.case.sha256,
                software=build.software,
                engine=build.engine,
                engine_build=build.name,
                engine_sha256=build.sha256,
                cpu_vendor=build.cpu_vendor,
                seed=spec.seed,
                primaries_per_spot=spec.primaries_per_spot,
                primaries_final=primaries,
                spots=sum(len(layer.mu) for beam in beams for layer in beam.layers),
                dose_to=build.dose_to,
            ),
        )
        return self._exported(
            ResultDraft(manifest, dose.dose_gy, dose.dose_gy * np.float32(spec.rbe), dose.uncertainty_gy)
        )

    def _exported(self, draft: ResultDraft) -> tuple[Dataset, Dataset]:
        result = save_result(self.objects, f"results/{self._job.job_id}/1-1-1", draft)
        export = ExportResult.of(self._job, case_key=self.case.key, result_key=result.key)
        artifacts = export_result(export, self.case, result, self.objects, self.pacs, QuietWatch())
        self.artifacts = {artifact.name: self.objects.get(artifact.key) for artifact in artifacts}
        return self._of_modality("RTPLAN"), self._of_modality("RTDOSE")

    def _of_modality(self, modality: str) -> Dataset:
        found = [r for r in self.pacs.instances(self.study.study_instance_uid) if r.modality == modality]
        assert len(found) == 1, f"one {modality} is expected, {len(found)} are there"
        record = self.pacs.instance(found[0])
        assert record is not None
        return record
