"""Planner: jobs.plan -> the spots, the dose, what it is worth -> jobs.export."""

import asyncio
from dataclasses import replace

from radiarch_common.bus import Bus
from radiarch_common.case import load_case
from radiarch_common.messages import ExportResult, PlanCase
from radiarch_common.result import save_result
from radiarch_common.run import Run
from radiarch_common.settings import Settings
from radiarch_common.stage import Stage
from radiarch_common.topology import CATALOGUE, CATALOGUE_KEY

from radiarch_planner.beam_statistics import beam_statistics
from radiarch_planner.catalogue import build_catalogue, find_calibration, find_machine, find_workflow
from radiarch_planner.engines.cache import open_cache
from radiarch_planner.engines.folders import sweep
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.plan import make_plan
from radiarch_planner.scanner import scanner_warnings
from radiarch_planner.structures.names import SHIPPED, NameDictionary

stage = Stage("planner", takes=PlanCase, gives="exporter")


@stage.at_start
async def publish_catalogue(bus: Bus, settings: Settings) -> None:
    """Tell the gateway what can be asked for; an entry that cannot be used ends the planner here, and no plan later."""
    catalogue = await asyncio.to_thread(build_catalogue, settings.catalogue_folder)
    bucket = await bus.bucket(CATALOGUE)
    await bucket.put(CATALOGUE_KEY, catalogue.model_dump_json().encode())


@stage.at_start
async def sweep_work_folder(_: Bus, settings: Settings) -> None:
    """Remove what a killed planner left."""
    await asyncio.to_thread(sweep, settings.work_folder)


@stage.at_start
async def check_structure_names(_: Bus, settings: Settings) -> None:
    """A dictionary of names that cannot be used ends the planner here, and no plan later."""
    await asyncio.to_thread(NameDictionary.read, settings.structure_names or SHIPPED)


@stage
def plan(job: PlanCase, run: Run) -> ExportResult:
    """Plan one case; the result lies under a key of this attempt."""
    request = job.request
    own = run.settings.catalogue_folder
    find_workflow(request.workflow, own)
    machine, calibration = find_machine(request.machine, own), find_calibration(request.ct_calibration, own)
    case = load_case(run.objects, job.case_key)
    with open_cache(run.objects, run.settings, case.sha256) as cache:
        engine = McsquareEngine(run.settings, machine, calibration, cache=cache)
        draft = make_plan(case, request, engine, calibration, run)
    statistics = beam_statistics(draft.manifest.beams, engine.model.reach, machine.file.delivery)
    names = NameDictionary.read(run.settings.structure_names or SHIPPED)
    warnings = (
        *draft.manifest.warnings,
        *scanner_warnings(calibration.file, case.manifest),
        *names.warnings(case.manifest.structures),
    )
    manifest = draft.manifest.model_copy(update={"beam_statistics": statistics, "warnings": warnings})
    with run.timed("store"):
        result = save_result(run.objects, run.output_key("results"), replace(draft, manifest=manifest))
    return ExportResult.of(job, case_key=job.case_key, result_key=result.key)
