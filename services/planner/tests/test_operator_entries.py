"""Machines, CT calibrations and workflows that an operator adds as files: found, pinned, and checked before any plan.

Fails when an entry is ignored, when a broken one lets the planner start, and when the message does not name the file
and the field.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import radiarch_planner
from radiarch_common.bus import Bus
from radiarch_common.errors import UnavailableError
from radiarch_common.settings import Settings
from radiarch_planner.app import publish_catalogue
from radiarch_planner.catalogue import build_catalogue, find_calibration, find_machine, find_workflow
from radiarch_planner.entry_files import EntryError

SHIPPED = Path(radiarch_planner.__file__).parent
Break = Callable[[Path], object]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A catalogue with one entry of each kind, made of those that are shipped."""
    machine = tmp_path / "machines" / "gantry-2"
    machine.mkdir(parents=True)
    text = (SHIPPED / "machines" / "generic-pbs" / "machine.toml").read_text()
    (machine / "machine.toml").write_text(
        text.replace('"generic-pbs"', '"gantry-2"').replace(
            '"opentps:BDL/BDL_default_DN_RangeShifter.txt"', '"beam.txt"'
        )
    )
    shutil.copy(build_beam_data(), machine / "beam.txt")
    calibration = tmp_path / "ct_calibrations" / "head-120"
    shutil.copytree(SHIPPED / "ct_calibrations" / "water", calibration)
    change(calibration / "calibration.toml", 'id = "water"', 'id = "head-120"')
    (tmp_path / "workflows").mkdir()
    shutil.copy(SHIPPED / "workflows" / "proton-impt.toml", tmp_path / "workflows" / "prostate.toml")
    change(tmp_path / "workflows" / "prostate.toml", 'id = "proton-impt"', 'id = "prostate"')
    (tmp_path / "README.md").write_text("ours")
    return tmp_path


def build_beam_data() -> Path:
    catalogue = build_catalogue()
    [pinned] = [machine.pinned for machine in catalogue.machines if machine.id == "generic-pbs"]
    return find_machine(pinned).beam_data


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_own_entries_lie_beside_the_shipped(own: Path) -> None:
    shipped, catalogue = build_catalogue(), build_catalogue(own)
    assert {e.id for e in catalogue.machines} - {e.id for e in shipped.machines} == {"gantry-2"}
    assert {e.id for e in catalogue.ct_calibrations} - {e.id for e in shipped.ct_calibrations} == {"head-120"}
    ids = [{entry.template.id for entry in found.workflows} for found in (catalogue, shipped)]
    assert ids[0] - ids[1] == {"prostate"}
    [machine] = [e for e in catalogue.machines if e.id == "gantry-2"]
    assert machine.range_shifters == ("rs-74", "rs-40")
    assert find_machine(machine.pinned, own).beam_data == own / "machines" / "gantry-2" / "beam.txt"
    [calibration] = [e for e in catalogue.ct_calibrations if e.id == "head-120"]
    assert find_calibration(calibration.pinned, own).tables == own / "ct_calibrations" / "head-120"
    [workflow] = [e for e in catalogue.workflows if e.template.id == "prostate"]
    assert find_workflow(workflow.pinned, own).id == "prostate"
    with pytest.raises(UnavailableError, match="no such entry"):
        find_machine(machine.pinned)


def test_a_job_whose_entry_was_broken_since_is_given_back(own: Path) -> None:
    """Another planner may still have what the job pins: it is no failure of the job."""
    [machine] = [e for e in build_catalogue(own).machines if e.id == "gantry-2"]
    change(own / "machines" / "gantry-2" / "machine.toml", "commissioned = false", "commissioned = maybe")
    with pytest.raises(UnavailableError, match=r"what this planner has now is broken: .*gantry-2"):
        find_machine(machine.pinned, own)


async def test_a_planner_with_a_broken_entry_does_not_start(own: Path) -> None:
    change(own / "workflows" / "prostate.toml", "seed = 20240501", "seed = 0")
    with pytest.raises(EntryError, match=r"prostate\.toml cannot be used: seed: "):
        await publish_catalogue(Bus.__new__(Bus), Settings(catalogue_folder=own))


def in_machine(old: str, new: str) -> Break:
    return lambda own: change(own / "machines" / "gantry-2" / "machine.toml", old, new)


def in_calibration(name: str, old: str, new: str) -> Break:
    return lambda own: change(own / "ct_calibrations" / "head-120" / name, old, new)


def in_workflow(old: str, new: str) -> Break:
    return lambda own: change(own / "workflows" / "prostate.toml", old, new)


def in_beam_data(old: str, new: str) -> Break:
    return lambda own: change(own / "machines" / "gantry-2" / "beam.txt", old, new)


def folder(name: str) -> Break:
    return lambda own: (own / name).mkdir()


DENSITY, MATERIAL = "HU_Density_Conversion.txt", "HU_Material_Conversion.txt"


@pytest.mark.parametrize(
    ("break_it", "file", "wrong"),
    [
        (in_machine("title = ", "title : "), r"machine\.toml", r"line 3"),
        (in_machine("energy_step_mev = 0.1", ""), r"machine\.toml", r"energy_step_mev: Field required"),
        (in_machine("energy_step_mev", "energy_steps"), r"machine\.toml", r"energy_steps: Extra inputs"),
        (in_machine("= 225.0", "= 230.0"), r"beam\.txt", r"20 to 225 MeV, .*maximum_energy_mev are 100 and 230"),
        (in_machine("= 225.0", "= 90.0"), r"machine\.toml", r"minimum_energy_mev of 100 must be lower than .* 90"),
        (in_machine("= 225.0", "= 102.0"), r"beam\.txt", r"fewer than two of its energies lie between 100 and 102"),
        (in_machine('"beam.txt"', '"other.txt"'), r"other\.txt", r"No such file"),
        (in_machine('"beam.txt"', '"../beam.txt"'), r"machine\.toml", r"'\.\./beam\.txt' lies outside of this folder"),
        (in_machine('"beam.txt"', '"opentps:../x"'), r"machine\.toml", r"lies outside of the OpenTPS wheel"),
        (in_machine('"beam.txt"', '"/etc/hostname"'), r"machine\.toml", r"lies outside of this folder"),
        (in_machine('"rs-40"', '"rs-74"'), r"machine\.toml", r"more than one of range_shifters has the id 'rs-74'"),
        (in_machine('"rs-40"', '"auto"'), r"machine\.toml", r"range_shifters\.1\.id: 'auto' means something else"),
        (in_machine('"PMMA"', '"Unobtainium"'), r"machine\.toml", r"material: MCsquare has no material 'Unobtainium'"),
        (in_machine("wet_mm = 74.1", "wet_mm = 400.0"), r"machine\.toml", r"wet_mm of 'rs-74' is 400, and protons"),
        (in_machine('"gantry-2"', '"gantry-3"'), r"machine\.toml", r"its id is 'gantry-3', and it lies under"),
        (in_beam_data("NominalEnergy", "Energy"), r"beam\.txt", r"no line with 'NominalEnergy'"),
        (in_beam_data("105.422", "105,422"), r"beam\.txt", r"line 26 holds something that is no number"),
        (in_beam_data("105.000", "99.000"), r"beam\.txt", r"the nominal energies must rise: 99 comes after 100"),
        (in_calibration("calibration.toml", "= 1000.0", "= 3000.0"), "head-120", r"from -1000 to 1000 HU, .* 3000"),
        (in_calibration(DENSITY, "0\t1.0\n", "0\t3.0\n"), "head-120", r"must not fall"),
        (in_calibration(DENSITY, "-950\t", "-1050\t"), "head-120", r"HU in HU_Density_Conversion.txt must rise"),
        (in_calibration(MATERIAL, "\t17", "\t171"), "head-120", r"names material 171, which MCsquare has not"),
        (in_calibration(MATERIAL, "-1000\t39\n", ""), "head-120", r"begins at -950 HU, and materials are needed"),
        (in_workflow("batches = 10", "batches = 2"), r"prostate\.toml", r"batches: .*greater than or equal to 10"),
        (in_workflow('kind = "DMin"', 'kind = "DMinimum"'), r"prostate\.toml", r"objectives\.1\.kind: "),
        (folder("machine"), "machine", r"has the folders machines, ct_calibrations, workflows"),
        (folder("machines/x"), "x", r"it has no machine\.toml"),
        (shutil.rmtree, "", r"there is no such folder"),
    ],
)
def test_what_is_wrong_is_said_with_its_file(own: Path, break_it: Break, file: str, wrong: str) -> None:
    break_it(own)
    with pytest.raises(EntryError, match=rf"{file} cannot be used: .*{wrong}"):
        build_catalogue(own)


def test_an_id_of_a_shipped_entry_is_taken(own: Path) -> None:
    shutil.copytree(SHIPPED / "ct_calibrations" / "water", own / "ct_calibrations" / "water")
    with pytest.raises(EntryError, match=r"the id 'water' is taken by .*radiarch_planner"):
        build_catalogue(own)
