"""A whole plan, ours against the straightforward OpenTPS script, on the same phantom, beams, primaries and cores.

    uv run python bench/plan_vs_opentps.py [--primaries 1000] [--final 1000000] [--spot-spacing 8]

OpenTPS' launcher is mended (line endings, execute bit, a debug print that fails with today's scipy), nothing else is
tuned: two threads for the engine, its own beamlet reader, its own optimiser. Each side plans in a process of its own,
one after the other, on otherwise idle cores. Prints a table and, last, one JSON object.
"""

import argparse
import json
import logging
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FRACTIONS, DOSE_GY_RBE, RBE = 25, 50.0, 1.1


def ours(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Import and plan with Radiarch's own modules, without broker and services."""
    from radiarch_common.case import load_case
    from radiarch_common.objects import FolderStore
    from radiarch_common.pacs import open_pacs
    from radiarch_common.plans import PlanSpec, ResolvedPlan
    from radiarch_common.settings import FolderPacsSettings, Settings
    from radiarch_common.watch import QuietWatch
    from radiarch_importer.build import build_case
    from radiarch_planner.catalogue import build_catalogue, find_calibration, find_machine
    from radiarch_planner.engines.mcsquare import McsquareEngine
    from radiarch_planner.plan import make_plan
    from radiarch_standalone.phantom import write_phantom

    settings = Settings(pacs={"main": FolderPacsSettings(folder=folder / "pacs")}, work_folder=folder / "work")
    study = write_phantom(folder / "pacs")
    catalogue = build_catalogue()
    workflow = next(entry for entry in catalogue.workflows if entry.template.id == "proton-impt")
    machine = next(entry for entry in catalogue.machines if entry.id == "generic-pbs")
    calibration = next(entry for entry in catalogue.ct_calibrations if entry.id == "ucl-toshiba")
    spec = PlanSpec.model_validate(
        {
            "prescription": {
                "target": study.target,
                "dose_gy_rbe": DOSE_GY_RBE,
                "fractions": FRACTIONS,
                "normalisation": "none",
            },
            "beams": [{"name": f"G{angle}", "gantry_angle_deg": angle} for angle in (90, 270)],
            "objectives": [
                {"structure": study.target, "kind": "DMin", "dose_gy_rbe": DOSE_GY_RBE, "weight": 5.0},
                {"structure": study.target, "kind": "DMax", "dose_gy_rbe": DOSE_GY_RBE, "weight": 5.0},
            ],
            "rbe": RBE,
            "dose_grid_mm": options.grid,
            "spot_spacing_mm": options.spot_spacing,
            "layer_spacing_mm": options.spot_spacing,
            "target_margin_mm": 5.0,
            "minimum_spot_mu": machine.minimum_spot_mu,
            "maximum_spot_mu": machine.maximum_spot_mu,
            "primaries_per_spot": options.primaries,
            "primaries_final": options.final // 2,
            "batches": 10,
            "iterations": 100,
            "seed": 1,
        }
    )
    request = ResolvedPlan(
        workflow=workflow.pinned, machine=machine.pinned, ct_calibration=calibration.pinned, spec=spec, origins={}
    )
    start = time.monotonic()
    objects, watch = FolderStore(folder / "objects"), QuietWatch()
    pacs = open_pacs(settings)["main"]
    key = build_case(pacs, objects, study.study_instance_uid, study.structure_set_uid, study.target, watch)
    tables = find_calibration(calibration.pinned)
    engine = McsquareEngine(settings, find_machine(machine.pinned), tables)
    draft = make_plan(load_case(objects, key), request, engine, tables, watch)
    wall_s = time.monotonic() - start
    engine_s = watch.timings["beamlets"] + watch.timings["final dose"]
    target = next(curve for curve in draft.manifest.dvh if curve.structure == study.target)
    return {
        "wall_s": wall_s,
        "engine_s": engine_s,
        "spots": draft.manifest.provenance.spots,
        "uncertainty_percent": draft.manifest.uncertainty.percent,
        **{name: target.metrics[f"{name}%[Gy]"] for name in ("D95", "D50", "D5")},
    }


def opentps(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The script that OpenTPS' own examples teach."""
    os.environ["HOME"], os.environ["MPLBACKEND"] = str(folder), "Agg"
    from opentps.core.data import DVH
    from opentps.core.data.plan import FidObjective
    from opentps.core.data.plan._protonPlanDesign import ProtonPlanDesign
    from opentps.core.io import dicomIO, mcsquareIO
    from opentps.core.io.scannerReader import readScanner
    from opentps.core.processing.doseCalculation.doseCalculationConfig import DoseCalculationConfig
    from opentps.core.processing.doseCalculation.protons.mcsquareDoseCalculator import MCsquareDoseCalculator
    from opentps.core.processing.planOptimization.planOptimization import BoundConstraintsOptimizer
    from radiarch_standalone.phantom import write_phantom

    study = write_phantom(folder / "study")
    logging.disable(logging.CRITICAL)
    _mend_launcher(MCsquareDoseCalculator, mcsquareIO)
    start = time.monotonic()
    config = DoseCalculationConfig()
    calibration, beam_data = readScanner(config.scannerFolder), mcsquareIO.readBDL(config.bdlFile)
    ct = dicomIO.readDicomCT([str(path) for path in study.files[:-1]])
    structures: Any = dicomIO.readDicomStruct(str(study.files[-1]))
    contours = {contour.name: contour for contour in structures.contours}
    contour = contours[study.target]
    target = contour.getBinaryMask(origin=ct.origin, gridSize=ct.gridSize, spacing=ct.spacing)
    design: Any = ProtonPlanDesign()
    design.ct, design.calibration = ct, calibration
    design.gantryAngles, design.couchAngles, design.beamNames = [90.0, 270.0], [0.0, 0.0], ["G90", "G270"]
    design.spotSpacing = design.layerSpacing = options.spot_spacing
    design.targetMargin = 5.0
    design.setScoringParameters(scoringSpacing=[options.grid] * 3, adapt_gridSize_to_new_spacing=True)
    design.defineTargetMaskAndPrescription(target=target, targetPrescription=DOSE_GY_RBE / RBE)
    plan: Any = design.buildPlan()
    plan.numberOfFractionsPlanned = FRACTIONS
    engine: Any = MCsquareDoseCalculator()
    engine.beamModel, engine.ctCalibration, engine.nbPrimaries = beam_data, calibration, options.primaries
    plan.planDesign.beamlets = engine.computeBeamlets(ct, plan)
    for metric in (FidObjective.Metrics.DMIN, FidObjective.Metrics.DMAX):
        plan.planDesign.objectives.addFidObjective(target, metric, DOSE_GY_RBE / RBE, 5.0)
    BoundConstraintsOptimizer(plan=plan, method="Scipy_L-BFGS-B", bounds=(0.02, 250), maxiter=100).optimize()
    engine.nbPrimaries = options.final
    dose = engine.computeDose(ct, plan)
    dvh = DVH(target, dose)
    wall_s = time.monotonic() - start
    return {
        "wall_s": wall_s,
        "engine_s": _engine_s[0],
        "spots": int(plan.numberOfSpots),
        **{name: float(getattr(dvh, name)) * RBE for name in ("D95", "D50", "D5")},
    }


_engine_s = [0.0]


def _mend_launcher(calculator: Any, mcsquare_io: Any) -> None:  # noqa: ANN401 - untyped library
    """Let the wheel's engine start: its shell script has DOS line endings, its binary no execute bit."""

    def start(self: Any, opti: bool = False) -> None:  # noqa: ANN401 - OpenTPS' signature
        folder = Path(self._mcsquareSimuDir)
        binary = folder / "MCsquare_linux"
        binary.chmod(0o755)
        began = time.monotonic()
        env = os.environ | {"MCsquare_Materials_Dir": str(folder / "Materials")}
        with (folder / "engine.log").open("ab") as log:
            subprocess.run([str(binary)], cwd=folder, env=env, check=True, stdout=log)
        _engine_s[0] += time.monotonic() - began

    def tell_nothing(_: object) -> None:
        """In the place of a debug print that fails with today's scipy."""

    calculator._startMCsquare = start
    mcsquare_io._print_memory_usage = tell_nothing


def _apart(side: Callable[[Path, argparse.Namespace], dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own; its result and the peak of its own memory."""
    context = multiprocessing.get_context("spawn")
    ours_end, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(side, options, theirs))
    process.start()
    theirs.close()
    result = ours_end.recv()
    process.join()
    return result


def _run(side: Callable[[Path, argparse.Namespace], dict[str, Any]], options: argparse.Namespace, end: Any) -> None:  # noqa: ANN401
    with tempfile.TemporaryDirectory() as name:
        result = side(Path(name), options)
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    end.send(result | {"non_engine_s": result["wall_s"] - result["engine_s"], "memory_mib": memory_mib})


def main() -> None:
    """Measure both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--primaries", type=int, default=1000, help="per spot")
    parser.add_argument("--final", type=int, default=1_000_000, help="of the final dose, all beams")
    parser.add_argument("--spot-spacing", type=float, default=8.0, help="and layer spacing, mm")
    parser.add_argument("--grid", type=float, default=2.5, help="dose grid, mm")
    options = parser.parse_args()
    sides = {"radiarch": _apart(ours, options), "opentps": _apart(opentps, options)}
    names = list(dict.fromkeys(name for side in sides.values() for name in side))
    print(f"{'':22}{'radiarch':>12}{'opentps':>12}")
    for name in names:
        values = [sides[side].get(name) for side in ("radiarch", "opentps")]
        print(f"{name:22}" + "".join(f"{value:12.2f}" if value is not None else f"{'':12}" for value in values))
    told = {
        "primaries_per_spot": options.primaries,
        "primaries_final": options.final,
        "grid_mm": options.grid,
        "cores": len(os.sched_getaffinity(0)),
        "wall_ratio": sides["radiarch"]["wall_s"] / sides["opentps"]["wall_s"],
        "non_engine_s": sides["radiarch"]["non_engine_s"],
        **sides,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
