"""The engine is given a part of its material database, and computes what it does with all of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from radiarch_common.geometry import Grid
from radiarch_common.plans import PlanSpec
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines import inputs
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.materials import link_materials
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.engines.wheel import mcsquare_folder


def _whole(database: Path, _: Path, __: Path, folder: Path) -> Path:
    folder.symlink_to(database, target_is_directory=True)
    return folder


def test_the_dose_is_that_of_the_whole_database(
    make_engine: Callable[..., McsquareEngine],
    make_spec: Callable[..., PlanSpec],
    make_ball: Callable[[Grid, tuple[float, float, float], float], FloatArray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when a material in the way, or an element of one, is left out: bone, soft tissue and air lie in the way."""
    grid = Grid(origin_mm=(-40.0, -120.0, -40.0), spacing_mm=(4.0, 4.0, 4.0), size=(21, 61, 21))
    hu = np.zeros(grid.shape, dtype=np.float32)
    hu[:, 5:8], hu[:, 10:12], hu[:, 14:16] = 900.0, -900.0, 60.0
    patient, target = Patient(grid, hu, "HFS"), make_ball(grid, (0.0, 20.0, 0.0), 18.0)
    spec = make_spec(primaries_final=10_000, spot_spacing_mm=12.0, layer_spacing_mm=12.0)
    engine = make_engine(calibration="ucl-toshiba")
    placement = engine.place(patient, target, spec, QuietWatch())
    beams = engine.beams(placement, np.ones(placement.count))
    part = engine.final_dose(patient, beams, spec, QuietWatch())
    monkeypatch.setattr(inputs, "link_materials", _whole)
    whole = engine.final_dose(patient, beams, spec, QuietWatch())
    assert part.dose_gy.max() > 0
    assert np.array_equal(part.dose_gy, whole.dose_gy)


def test_only_what_is_used_is_there(tmp_path: Path) -> None:
    """Fails when heavy metals are read for a water phantom, or when numbers of the list move."""
    tables, beam_data = tmp_path / "materials.txt", tmp_path / "bdl.txt"
    tables.write_text("# HU material\n-1050.0 13\n-200.0 17\n")
    beam_data.write_text("RS_ID = RS\nRS_material = 64\t# PMMA\n")
    database = mcsquare_folder() / "Materials"
    made = link_materials(database, tables, beam_data, tmp_path / "Materials")
    there = {path.name for path in made.iterdir()} - {"list.dat"}
    assert {"Air", "Water", "PMMA", "hydrogen", "oxygen", "carbon", "nitrogen"} <= there
    assert not there & {"lead", "tungsten", "titanium"}
    listed = dict(line.split() for line in (made / "list.dat").read_text().splitlines())
    assert (listed["17"], listed["64"], listed["12"]) == ("Water", "PMMA", "hydrogen")


def test_a_material_that_the_engine_has_not_is_named(tmp_path: Path) -> None:
    tables, beam_data = tmp_path / "materials.txt", tmp_path / "bdl.txt"
    tables.write_text("-1050.0 13\n0.0 999\n")
    beam_data.write_text("")
    with pytest.raises(ValueError, match="999"):
        link_materials(mcsquare_folder() / "Materials", tables, beam_data, tmp_path / "Materials")
