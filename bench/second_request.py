"""The same plan twice, then with one gantry angle changed: wall time and engine processes of each, and the cache.

    uv run python bench/second_request.py [--primaries 1000] [--final 1000000] [--spot-spacing 8]

The TG-119 phantom with two beams, in an object store that is a folder. Each plan is made by a process of its own, which
finds nothing in its memory. The engine's processes are counted by themselves, as they start. Prints a table and, last,
one JSON object.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

FRACTIONS, DOSE_GY_RBE = 25, 50.0
PLANS = {"first": (90.0, 270.0), "again": (90.0, 270.0), "one angle changed": (90.0, 265.0)}
COLUMNS = ("wall_s", "processes", "block_processes", "batch_processes", "cache_mb")


def planned(folder: Path, case_key: str, angles: tuple[float, ...], options: argparse.Namespace) -> dict[str, Any]:
    """One plan with a cache in the object store of ``folder``."""
    from radiarch_common.cache_keys import PREFIX
    from radiarch_common.case import load_case
    from radiarch_common.objects import FolderStore
    from radiarch_common.plans import PlanSpec, ResolvedPlan
    from radiarch_common.settings import Settings
    from radiarch_common.telemetry import configure_logging
    from radiarch_common.watch import QuietWatch
    from radiarch_planner.catalogue import build_catalogue, find_calibration, find_machine
    from radiarch_planner.engines.cache import open_cache
    from radiarch_planner.engines.mcsquare import McsquareEngine
    from radiarch_planner.plan import make_plan
    from radiarch_testkit.counted_engine import CountedEngine

    configure_logging("bench", "WARNING")
    counted = CountedEngine(folder)
    settings = counted.used_by(Settings(work_folder=folder / "work"))
    catalogue = build_catalogue()
    machine = next(entry for entry in catalogue.machines if entry.id == "generic-pbs")
    calibration = next(entry for entry in catalogue.ct_calibrations if entry.id == "ucl-toshiba")
    spec = PlanSpec.model_validate(
        {
            "prescription": {
                "target": "PTV",
                "dose_gy_rbe": DOSE_GY_RBE,
                "fractions": FRACTIONS,
                "normalisation": "none",
            },
            "beams": [{"name": f"G{angle:g}", "gantry_angle_deg": angle} for angle in angles],
            "objectives": [{"structure": "PTV", "kind": "DUniform", "dose_gy_rbe": DOSE_GY_RBE}],
            "rbe": 1.1,
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
        workflow=catalogue.workflows[0].pinned,
        machine=machine.pinned,
        ct_calibration=calibration.pinned,
        spec=spec,
        origins={},
    )
    tables, objects = find_calibration(calibration.pinned), FolderStore(folder / "objects")
    McsquareEngine(settings, find_machine(machine.pinned), tables).cost(QuietWatch())  # tested once on a machine
    counted.started()
    start = time.monotonic()
    case = load_case(objects, case_key)
    with open_cache(objects, settings, case.sha256) as cache:
        engine = McsquareEngine(settings, find_machine(machine.pinned), tables, cache=cache)
        draft = make_plan(case, request, engine, tables, QuietWatch())
    wall_s = time.monotonic() - start
    started = counted.started()
    return {
        "wall_s": wall_s,
        "processes": len(started),
        "block_processes": sum("/block-" in piece for piece in started),
        "batch_processes": sum("/batch-" in piece for piece in started),
        "cache_mb": sum(entry.size_bytes for entry in objects.entries(PREFIX)) / 1e6,
        "spots": draft.manifest.provenance.spots,
        "result": draft.manifest.digest + hashlib.sha256(draft.dose_gy.tobytes()).hexdigest(),
    }


def imported(folder: Path) -> str:
    """The phantom as a case; its key."""
    from radiarch_common.objects import FolderStore
    from radiarch_common.pacs import open_pacs
    from radiarch_common.settings import FolderPacsSettings, Settings
    from radiarch_common.watch import QuietWatch
    from radiarch_importer.build import build_case
    from radiarch_standalone.phantom import write_phantom

    study = write_phantom(folder / "pacs")
    pacs = open_pacs(Settings(pacs={"main": FolderPacsSettings(folder=folder / "pacs")}))["main"]
    uids = study.study_instance_uid, study.structure_set_uid
    return build_case(pacs, FolderStore(folder / "objects"), *uids, study.target, QuietWatch())


def _apart(*work: Any) -> dict[str, Any]:  # noqa: ANN401 - the arguments of ``planned``
    """One plan in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(planned, work)


def main() -> None:
    """Measure the three plans, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--primaries", type=int, default=1000, help="per spot")
    parser.add_argument("--final", type=int, default=1_000_000, help="of the final dose, all beams")
    parser.add_argument("--spot-spacing", type=float, default=8.0, help="and layer spacing, mm")
    parser.add_argument("--grid", type=float, default=2.5, help="dose grid, mm")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        key = imported(Path(name))
        plans = {plan: _apart(Path(name), key, angles, options) for plan, angles in PLANS.items()}
    print(f"{'':20}" + "".join(f"{column:>18}" for column in COLUMNS))
    for plan, told in plans.items():
        print(f"{plan:20}" + "".join(f"{told[column]:18.1f}" for column in COLUMNS))
    same = plans["first"].pop("result") == plans["again"].pop("result")
    print(f"The second result is the first one bit for bit: {'yes' if same else 'NO'}")
    del plans["one angle changed"]["result"]
    told = {
        "primaries_per_spot": options.primaries,
        "primaries_final": options.final,
        "grid_mm": options.grid,
        "cores": len(os.sched_getaffinity(0)),
        "same_result": same,
        "wall_ratio": plans["again"]["wall_s"] / plans["first"]["wall_s"],
        "plans": plans,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
