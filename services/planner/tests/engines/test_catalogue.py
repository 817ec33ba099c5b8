"""What a planner offers is what a job gets: hashes cover content, and another content is another planner's job."""

import shutil
from pathlib import Path

import jsonschema
import pytest
import radiarch_planner
from radiarch_common.catalogue import Catalogue
from radiarch_common.errors import UnavailableError
from radiarch_common.plans import PlanSpec
from radiarch_planner.catalogue import (
    build_catalogue,
    find_calibration,
    find_machine,
    find_workflow,
    overrides_schema,
)
from radiarch_planner.machine import read_calibration, read_machine

PACKAGE = Path(radiarch_planner.__file__).parent


def test_the_catalogue_names_what_can_be_pinned() -> None:
    catalogue = build_catalogue()
    assert Catalogue.model_validate_json(catalogue.model_dump_json()) == catalogue
    names = {workflow.template.id for workflow in catalogue.workflows}
    assert names == {"proton-impt", "proton-impt-robust", "proton-sfo"}
    for workflow in catalogue.workflows:
        assert find_workflow(workflow.pinned) == workflow.template
    for machine in catalogue.machines:
        assert find_machine(machine.pinned).sha256 == machine.sha256
    for calibration in catalogue.ct_calibrations:
        assert find_calibration(calibration.pinned).sha256 == calibration.sha256
    assert not any(entry.commissioned for entry in (*catalogue.machines, *catalogue.ct_calibrations))


@pytest.mark.parametrize("name", ["proton-impt", "proton-impt-robust", "proton-sfo"])
def test_numbers_of_the_workflow_are_numbers_of_a_plan(name: str) -> None:
    """Objectives that agree, robust ones with errors to withstand, every number within its bounds."""
    (template,) = (entry.template for entry in build_catalogue().workflows if entry.template.id == name)
    machine = build_catalogue().machines[0]
    shared = {name: getattr(template, name) for name in PlanSpec.model_fields if hasattr(template, name)}
    shared["objectives"] = [
        o.model_dump(exclude={"dose_percent"}) | {"dose_gy_rbe": o.dose_percent * 0.6} for o in template.objectives
    ]
    shared["goals"] = [goal.model_dump() for goal in template.goals]
    prescription = {"target": "PTV", "dose_gy_rbe": 60.0, "fractions": 30, "normalisation": template.normalisation}
    limits = {"minimum_spot_mu": machine.minimum_spot_mu, "maximum_spot_mu": machine.maximum_spot_mu}
    PlanSpec.model_validate({**shared, **limits, "prescription": prescription})


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"version": "99"}, {"id": "elsewhere"}])
def test_another_content_is_another_planners_job(change: dict[str, str]) -> None:
    catalogue = build_catalogue()
    asked = [
        (find_workflow, catalogue.workflows[0].pinned),
        (find_machine, catalogue.machines[0].pinned),
        (find_calibration, catalogue.ct_calibrations[0].pinned),
    ]
    for find, pinned in asked:
        other = pinned.model_copy(update=change)
        with pytest.raises(UnavailableError, match=f"a planner with {other.id} {other.version}"):
            find(other)


def test_the_hash_covers_the_beam_data_and_the_tables(tmp_path: Path) -> None:
    shipped = read_machine(PACKAGE / "machines" / "generic-pbs")
    text = (PACKAGE / "machines" / "generic-pbs" / "machine.toml").read_text()
    shutil.copy(shipped.beam_data, tmp_path / "beam.txt")
    toml = text.replace("opentps:BDL/BDL_default_DN_RangeShifter.txt", "beam.txt")
    (tmp_path / "machine.toml").write_text(toml)
    before = read_machine(tmp_path)
    (tmp_path / "beam.txt").write_text((tmp_path / "beam.txt").read_text().replace("115140000.0", "115140001.0"))
    assert read_machine(tmp_path).sha256 != before.sha256
    assert before.sha256 != shipped.sha256

    water = tmp_path / "water"
    shutil.copytree(PACKAGE / "ct_calibrations" / "water", water)
    was = read_calibration(water)
    assert was.sha256 == read_calibration(PACKAGE / "ct_calibrations" / "water").sha256
    with (water / "HU_Density_Conversion.txt").open("a") as table:
        table.write("2000\t3.0\n")
    assert read_calibration(water).sha256 != was.sha256


def test_overrides_are_fields_of_a_plan_and_nothing_else() -> None:
    schema = overrides_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = {
        "beams": [{"gantry_angle_deg": 90.0}],
        "isocentre_mm": [1.0, 2.0, 3.0],
        "seed": 4,
        "primaries_per_spot": 500,
    }
    assert validator.is_valid(good)
    assert validator.is_valid({})
    for bad in ({"spot_spacing_mm": 100.0}, {"sed": 4}, {"rbe": 1.0}, {"beams": []}, {"seed": "four"}):
        assert not validator.is_valid(bad), bad
