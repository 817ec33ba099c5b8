"""Data that nobody here made, from the folder that RADIARCH_TEST_DATA names."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from radiarch_common.case import load_case
from radiarch_common.errors import RefusedError
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import FolderPacs
from radiarch_common.watch import QuietWatch
from radiarch_importer.build import build_case

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


@pytest.fixture
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of one folder of the data, named by the test's parameter."""
    root = os.environ.get("RADIARCH_TEST_DATA")
    source = Path(root or "no-data") / request.param
    if not source.is_dir():
        pytest.skip(f"RADIARCH_TEST_DATA names no folder that has {request.param}")
    shutil.copytree(source, tmp_path / "pacs", copy_function=shutil.copyfile)
    return tmp_path


def instances(folder: Path) -> list[Dataset]:
    """Headers of every DICOM file."""
    found = [dcmread(f, force=True, stop_before_pixels=True) for f in sorted(folder.rglob("*")) if f.is_file()]
    return [ds for ds in found if "SOPInstanceUID" in ds and "StudyInstanceUID" in ds]


@pytest.mark.parametrize("data", ["real_prostate_ct_rs"], indirect=True)
def test_prostate_becomes_a_case(data: Path) -> None:
    """Places are checked against anatomy: soft tissue in the PTV, bone in the femoral heads, PTV around prostate."""
    study = str(instances(data / "pacs")[0].StudyInstanceUID)
    objects = FolderStore(data / "objects")
    key = build_case(FolderPacs("main", data / "pacs"), objects, study, None, "PTV", QuietWatch())
    case = load_case(objects, key)
    assert case.manifest.grid.size == (256, 256, 71)
    hu = case.ct_hu()
    means: dict[str, float] = {}
    for structure in case.manifest.structures:
        filled = case.occupancy(structure)
        grid = structure.grid
        i, j, k = np.rint(case.manifest.grid.index_of(np.array([grid.origin_mm]))[0]).astype(int)
        inside = hu[k : k + grid.size[2], j : j + grid.size[1], i : i + grid.size[0]]
        means[structure.name] = float((inside * filled).sum() / filled.sum())
        assert filled.sum() * grid.voxel_volume_cc == pytest.approx(structure.volume_cc, rel=1e-3)
    assert -30 < means["Bladder"] < 60
    assert 0 < means["Prostate"] < 100
    assert means["Femoral_head_L"] > 200
    assert means["Femoral_head_R"] > 200
    ptv, prostate = case.manifest.structure("PTV"), case.manifest.structure("Prostate")
    assert ptv.volume_cc > prostate.volume_cc
    assert case.manifest.structure("BODY").number == case.manifest.body


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("data", ["opentps_phantom", "nelms", "odd", "seg", "orient"], indirect=True)
def test_disorder_is_refused_by_name_and_never_crashes(data: Path) -> None:
    """Every instance of the folder, asked for as the structure set of its study."""
    pacs, objects = FolderPacs("main", data / "pacs"), FolderStore(data / "objects")
    found = instances(data / "pacs")
    structure_sets = [ds for ds in found if str(ds.get("SOPClassUID", "")) == RTSTRUCT]
    for ds in structure_sets + found[:5]:
        with pytest.raises(RefusedError) as seen:
            build_case(pacs, objects, str(ds.StudyInstanceUID), str(ds.SOPInstanceUID), "PTV", QuietWatch())
        assert seen.value.reason
        assert seen.value.hint


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("data", ["opentps_phantom"], indirect=True)
def test_phantom_in_disorder_is_refused_for_what_it_lacks(data: Path) -> None:
    """Put into one study and given its reference, it still has no patient position."""
    headers = instances(data / "pacs")
    structure_set = next(ds for ds in headers if ds.SOPClassUID == RTSTRUCT)
    ct = next(ds for ds in headers if ds.SOPClassUID != RTSTRUCT)
    structure_set.StudyInstanceUID = ct.StudyInstanceUID
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = ct.SeriesInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.RTReferencedStudySequence = [study]
    structure_set.ReferencedFrameOfReferenceSequence = [frame]
    structure_set.StructureSetROISequence[0].ROIName = "BODY"
    structure_set.save_as(data / "pacs" / "mended.dcm")
    pacs, objects = FolderPacs("main", data / "pacs"), FolderStore(data / "objects")
    with pytest.raises(RefusedError, match="PatientPosition is empty"):
        build_case(pacs, objects, str(ct.StudyInstanceUID), None, "BODY", QuietWatch())
