"""Peak memory of plans of growing size, against what the planner reckons before it starts.

    uv run python bench/memory.py [--grid 5 2.5] [--spot-spacing 12 8] [--primaries 200]

Each plan of the C-shape phantom runs in a process of its own, which does nothing else: its peak (VmHWM) is that of
the planner's process. The estimate is the one that refuses a plan that cannot fit; it must not be below the peak. Few
protons by default, which make small beamlets; ask for more to see larger ones. Memory of the engine's own processes
is not in it. Prints a table and, last, one JSON object.
"""

import argparse
import json
import multiprocessing
import re
import tempfile
from pathlib import Path
from typing import Any

MIB = 2.0**20


def plan(folder: Path, case_key: str, changes: dict[str, Any]) -> dict[str, float]:
    """Plan the case, and tell estimate and peak; to be called in a fresh process."""
    from radiarch_common.case import load_case
    from radiarch_common.objects import FolderStore
    from radiarch_common.plans import PlanSpec, ResolvedPlan
    from radiarch_common.settings import Settings
    from radiarch_common.watch import QuietWatch
    from radiarch_planner import optimum
    from radiarch_planner.catalogue import build_catalogue, find_calibration, find_machine
    from radiarch_planner.engines.mcsquare import McsquareEngine
    from radiarch_planner.plan import make_plan

    catalogue = build_catalogue()
    machine = next(entry for entry in catalogue.machines if entry.id == "generic-pbs")
    calibration = next(entry for entry in catalogue.ct_calibrations if entry.id == "water")
    spec = {
        "prescription": {"target": "PTV", "dose_gy_rbe": 50.0, "fractions": 25, "normalisation": "D50% = 100 %"},
        "beams": [{"name": f"G{angle}", "gantry_angle_deg": angle} for angle in (90, 270)],
        "objectives": [
            {"structure": "PTV", "kind": "DUniform", "dose_gy_rbe": 50.0, "weight": 10.0},
            {"structure": "BODY", "kind": "DMax", "dose_gy_rbe": 52.5},
        ],
        "rbe": 1.1,
        "target_margin_mm": 5.0,
        "minimum_spot_mu": machine.minimum_spot_mu,
        "maximum_spot_mu": machine.maximum_spot_mu,
        "primaries_final": 20_000,
        "batches": 10,
        "iterations": 20,
        "seed": 1,
    }
    request = ResolvedPlan(
        workflow=catalogue.workflows[0].pinned,
        machine=machine.pinned,
        ct_calibration=calibration.pinned,
        spec=PlanSpec.model_validate(spec | changes),
        origins={},
    )
    told: dict[str, float] = {}
    refuse = optimum.refuse_many_beamlets  # pyright: ignore[reportPrivateImportUsage]

    def listen(
        volumes: float, beamlets: float, spots: int, primaries: int, machine_bytes: float, scenarios: int
    ) -> None:
        told.update(volumes_mib=volumes / MIB, beamlets_mib=beamlets / MIB, spots=spots)
        refuse(volumes, beamlets, spots, primaries, machine_bytes, scenarios)

    optimum.refuse_many_beamlets = listen  # pyright: ignore[reportPrivateImportUsage]
    settings = Settings(work_folder=folder / "work")
    tables = find_calibration(calibration.pinned)
    engine = McsquareEngine(settings, find_machine(machine.pinned), tables)
    draft = make_plan(load_case(FolderStore(folder / "objects"), case_key), request, engine, tables, QuietWatch())
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    if peak is None:
        raise RuntimeError("/proc/self/status says no VmHWM")
    estimate = told["volumes_mib"] + told["beamlets_mib"]
    return told | {
        "voxels": draft.dose_gy.size,
        "estimate_mib": estimate,
        "peak_mib": int(peak[1]) / 1024,
        "estimate_ratio": estimate / (int(peak[1]) / 1024),
    }


def main() -> None:
    """Plan each size, one after the other."""
    from radiarch_common.objects import FolderStore
    from radiarch_common.pacs import open_pacs
    from radiarch_common.settings import FolderPacsSettings, Settings
    from radiarch_common.watch import QuietWatch
    from radiarch_importer.build import build_case
    from radiarch_standalone.phantom import write_phantom

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", type=float, nargs="+", default=[5.0, 2.5], help="dose grids, mm")
    parser.add_argument("--spot-spacing", type=float, nargs="+", default=[12.0, 8.0], help="and layer spacing, mm")
    parser.add_argument("--primaries", type=int, default=200, help="per spot")
    options = parser.parse_args()
    sizes = [(grid, spacing) for grid in options.grid for spacing in options.spot_spacing]
    columns = {"spots": 8, "voxels": 10, "volumes_mib": 13, "beamlets_mib": 14, "estimate_mib": 14, "peak_mib": 10}
    columns |= {"estimate_ratio": 16}
    print(f"{'grid/mm':>8}{'spacing/mm':>12}" + "".join(f"{name:>{width}}" for name, width in columns.items()))
    plans: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(pacs={"main": FolderPacsSettings(folder=folder / "pacs")}, work_folder=folder / "work")
        study = write_phantom(folder / "pacs")
        uids = study.study_instance_uid, study.structure_set_uid
        key = build_case(
            open_pacs(settings)["main"], FolderStore(folder / "objects"), *uids, study.target, QuietWatch()
        )
        for grid, spacing in sizes:
            changes = {
                "dose_grid_mm": grid,
                "spot_spacing_mm": spacing,
                "layer_spacing_mm": spacing,
                "primaries_per_spot": options.primaries,
            }
            with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
                found = pool.apply(plan, (folder, key, changes))
            plans.append({"grid_mm": grid, "spot_spacing_mm": spacing, **found})
            cells = "".join(
                f"{found[name]:{width}.2f}" if name == "estimate_ratio" else f"{found[name]:{width}.0f}"
                for name, width in columns.items()
            )
            print(f"{grid:8g}{spacing:12g}{cells}", flush=True)
    print(json.dumps({"primaries_per_spot": options.primaries, "plans": plans}))


if __name__ == "__main__":
    main()
