"""The demo as a newcomer runs it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from radiarch_testkit.dciodvfy import remarks

pytestmark = pytest.mark.slow
HANG_S = 900

FILES = {"RTPLAN.dcm", "RTDOSE.dcm", "dvh.json", "dvh.csv", "dose.png", "plan.json", "report.html", "report.pdf"}


@dataclass(frozen=True)
class Demo:
    """What it left, and what it printed."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """``radiarch demo --quick`` from an empty folder."""
    folder = tmp_path_factory.mktemp("demo")
    command = [str(Path(sys.executable).with_name("radiarch")), "demo", "--quick"]
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
    return Demo(folder / "radiarch-demo", done.stdout)


def test_it_leaves_every_file_and_nothing_else(demo: Demo) -> None:
    assert {path.name for path in demo.folder.iterdir()} == FILES


def test_it_tells_what_the_plan_is_worth(demo: Demo) -> None:
    for word in ("planner", "PTV", "Core", "D95%", "Goals", "Statistical uncertainty", "not for treatment"):
        assert word in demo.said


def test_its_dicom_is_valid_and_its_references_lead_home(demo: Demo, tmp_path: Path) -> None:
    from radiarch_standalone.phantom import write_phantom

    study = write_phantom(tmp_path / "phantom")
    *ct, structures = [dcmread(path) for path in study.files]
    plan, dose = (dcmread(demo.folder / name) for name in ("RTPLAN.dcm", "RTDOSE.dcm"))
    for name in ("RTPLAN.dcm", "RTDOSE.dcm"):
        assert not [r for r in remarks((demo.folder / name).read_bytes(), tmp_path) if "Error" in r]
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
