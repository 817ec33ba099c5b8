"""The demo as a newcomer runs it, and the same again: one core or two, the dose is the same to the last bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from radiarch_testkit.dciodvfy import remarks

pytestmark = pytest.mark.slow
HANG_S = 900
WIDE = os.environ | {"COLUMNS": "150"}

FILES = {"RTPLAN.dcm", "RTDOSE.dcm", "dvh.json", "dvh.csv", "dose.png", "plan.json", "report.html", "report.pdf"}


def run_demo(folder: Path, processes: int) -> str:
    """Run ``radiarch demo --quick`` from an empty folder; what it printed."""
    folder.mkdir()
    command = [str(Path(sys.executable).with_name("radiarch")), "demo", "--quick", f"--processes={processes}"]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        env=os.environ | {"COLUMNS": "150"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Folders of two demos, with one and with two engine processes, and what the first one printed."""
    folder = tmp_path_factory.mktemp("demos")
    said = run_demo(folder / "one", 1)
    run_demo(folder / "two", 2)
    return folder / "one" / "radiarch-demo", folder / "two" / "radiarch-demo", said


def test_it_leaves_every_file_and_nothing_else(demos: tuple[Path, Path, str]) -> None:
    assert {path.name for path in demos[0].iterdir()} == FILES


def test_it_tells_what_the_plan_is_worth(demos: tuple[Path, Path, str]) -> None:
    said = demos[2]
    for word in ("planner", "PTV", "Core", "D95%", "Goals", "Statistical uncertainty", "not for treatment"):
        assert word in said


def test_its_dicom_is_valid_and_its_references_lead_home(demos: tuple[Path, Path, str], tmp_path: Path) -> None:
    from radiarch_standalone.phantom import write_phantom

    study = write_phantom(tmp_path / "phantom")
    *ct, structures = [dcmread(path) for path in study.files]
    plan, dose = (dcmread(demos[0] / name) for name in ("RTPLAN.dcm", "RTDOSE.dcm"))
    for name in ("RTPLAN.dcm", "RTDOSE.dcm"):
        assert not [r for r in remarks((demos[0] / name).read_bytes(), tmp_path) if "Error" in r]
    assert plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures.SOPInstanceUID
    assert plan.ReferencedStructureSetSequence[0].ReferencedSOPClassUID == structures.SOPClassUID
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPClassUID == plan.SOPClassUID
    assert {record.FrameOfReferenceUID for record in (plan, dose, *ct)} == {ct[0].FrameOfReferenceUID}
    assert {record.StudyInstanceUID for record in (plan, dose, *ct)} == {ct[0].StudyInstanceUID}
    number = plan.DoseReferenceSequence[0].ReferencedROINumber
    assert {r.ROINumber: r.ROIName for r in structures.StructureSetROISequence}[number] == study.target
    for beam in plan.IonBeamSequence:
        weights = sum(float(np.sum(point.ScanSpotMetersetWeights)) for point in beam.IonControlPointSequence)
        groups = plan.FractionGroupSequence[0].ReferencedBeamSequence
        meterset = next(float(r.BeamMeterset) for r in groups if r.ReferencedBeamNumber == beam.BeamNumber)
        assert weights == pytest.approx(meterset, rel=1e-6)
        assert float(beam.FinalCumulativeMetersetWeight) == meterset


def test_one_core_or_two_the_dose_is_the_same_bit_for_bit(demos: tuple[Path, Path, str]) -> None:
    one, two = (dcmread(folder / "RTDOSE.dcm") for folder in demos[:2])
    assert one.PixelData == two.PixelData
    assert one.DoseGridScaling == two.DoseGridScaling
    spots = [json.loads((folder / "plan.json").read_text())["provenance"]["spots"] for folder in demos[:2]]
    assert spots[0] == spots[1]
