"""Both kinds of PACS against real parts: a folder on disk, and a real Orthanc."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from radiarch_common.errors import RefusedError, UnavailableError
from radiarch_common.pacs import FolderPacs, InstanceRef, Pacs, WebPacs, open_pacs
from radiarch_common.part10 import encoded
from radiarch_common.settings import FolderPacsSettings, Settings
from radiarch_testkit.orthanc_server import OrthancServer

STUDY = "1.2.826.0.1.3680043.8.498.100"


def image(
    number: int, series: str = f"{STUDY}.1", study: str = STUDY, *, syntax: UID = ExplicitVRLittleEndian
) -> Dataset:
    """A small CT image made from scratch, as an exporter makes its objects: without a preamble."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{series}.{number}"
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = series
    dataset.Modality = "CT"
    dataset.PatientID = "P1"
    dataset.PatientName = "Somebody^Secret"
    dataset.InstanceNumber = number
    dataset.Rows, dataset.Columns = 4, 6
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = np.full((4, 6), number, np.int16).tobytes()
    return dataset


def ref_of(dataset: Dataset) -> InstanceRef:
    return InstanceRef(
        str(dataset.StudyInstanceUID),
        str(dataset.SeriesInstanceUID),
        str(dataset.SOPInstanceUID),
        str(dataset.SOPClassUID),
        str(dataset.Modality),
    )


@pytest.fixture(params=["folder", "web"])
def pacs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pacs]:
    """The same behaviour is asked of both kinds."""
    if request.param == "folder":
        yield FolderPacs("main", tmp_path / "pacs")
        return
    server: OrthancServer = request.getfixturevalue("orthanc")
    yield WebPacs("main", server.settings)
    server.clear()


def test_what_was_stored_is_listed_and_comes_back(pacs: Pacs) -> None:
    """An instance without preamble must come back too: an archive that keeps it as sent cannot be read."""
    images = [image(n) for n in (1, 2, 3)] + [image(9, series=f"{STUDY}.2")]
    report = pacs.store(images)
    assert sorted(report.stored) == sorted(str(i.SOPInstanceUID) for i in images)
    assert report.failed == ()
    assert set(pacs.instances(STUDY)) == {ref_of(i) for i in images}
    assert pacs.instances(STUDY, f"{STUDY}.2") == [ref_of(images[3])]
    found = list(pacs.iter_series(STUDY, f"{STUDY}.1"))
    assert {int(d.InstanceNumber): int(d.pixel_array[0, 0]) for d in found} == {1: 1, 2: 2, 3: 3}
    one = pacs.instance(ref_of(images[1]))
    assert one is not None
    assert one.PixelData == images[1].PixelData
    assert str(one.PatientName) == "Somebody^Secret"


def test_what_is_removed_is_gone_and_nothing_else(pacs: Pacs) -> None:
    """Fails when another instance of the series goes too, or one that is not there is an error."""
    pacs.store([image(n) for n in (1, 2, 3)])
    uids = [str(image(n).SOPInstanceUID) for n in (1, 2, 3)]
    assert pacs.can_remove
    for _ in range(2):
        pacs.remove([uids[0], uids[2], "1.2.3.4.5"])
        assert [ref.sop_instance_uid for ref in pacs.instances(STUDY)] == [uids[1]]


def test_implicit_vr_comes_back(pacs: Pacs) -> None:
    """The default transfer syntax of DICOM, in which most structure sets are written."""
    stored = image(1, syntax=ImplicitVRLittleEndian)
    assert pacs.store([stored]).failed == ()
    assert [d.PixelData for d in pacs.iter_series(STUDY, f"{STUDY}.1")] == [stored.PixelData]
    one = pacs.instance(ref_of(stored))
    assert one is not None
    assert one.PixelData == stored.PixelData


def test_what_is_not_there_is_none_and_not_an_error(pacs: Pacs) -> None:
    pacs.store([image(1)])
    assert pacs.instances("1.2.3.4") == []
    assert pacs.instances(STUDY, "1.2.3.4") == []
    assert list(pacs.iter_series(STUDY, "1.2.3.4")) == []
    assert list(pacs.iter_series("1.2.3.4", "1.2.3.5")) == []
    assert pacs.instance(ref_of(image(7))) is None
    pacs.ping()


def test_storing_again_leaves_the_old_bytes(pacs: Pacs) -> None:
    """An archive answers success for other content under an old UID and keeps the old; we must know it."""
    first = image(1)
    pacs.store([first])
    other = image(1)
    other.PixelData = np.full((4, 6), 99, np.int16).tobytes()
    assert pacs.store([other]).stored == (str(first.SOPInstanceUID),)
    assert len(pacs.instances(STUDY)) == 1
    kept = pacs.instance(ref_of(first))
    assert kept is not None
    assert kept.PixelData == first.PixelData


def test_an_instance_that_cannot_be_stored_is_reported_and_the_others_are_stored(pacs: Pacs) -> None:
    good, bad = image(1), image(2)
    del bad.SeriesInstanceUID
    bad.StudyInstanceUID = "not a uid"
    report = pacs.store([good, bad])
    assert report.stored == (str(good.SOPInstanceUID),)
    assert [uid for uid, _ in report.failed] == [str(bad.SOPInstanceUID)]
    assert report.failed[0][1]
    assert [r.sop_instance_uid for r in pacs.instances(STUDY)] == [str(good.SOPInstanceUID)]


def test_many_instances_are_stored_and_listed_in_parts(pacs: Pacs) -> None:
    """More than one STOW's worth."""
    images = [image(n) for n in range(1, 72)]
    assert len(pacs.store(images).stored) == 71
    assert len(pacs.instances(STUDY)) == 71


def test_dataset_is_left_as_it_was_by_storing(pacs: Pacs) -> None:
    dataset = image(1)
    pacs.store([dataset])
    assert "MediaStorageSOPInstanceUID" not in dataset.file_meta
    assert not getattr(dataset, "preamble", None)


# The folder


def test_folder_sees_what_others_put_there(tmp_path: Path) -> None:
    """Importer, exporter, gateway and the user are separate processes on one folder."""
    importer, exporter = FolderPacs("main", tmp_path), FolderPacs("main", tmp_path)
    assert importer.instances(STUDY) == []
    exporter.store([image(1)])
    assert len(importer.instances(STUDY)) == 1
    (tmp_path / "export from scanner").mkdir()
    (tmp_path / "export from scanner" / "IM2").write_bytes(encoded(image(2)))
    found = importer.instance(ref_of(image(2)))
    assert found is not None
    assert [int(d.InstanceNumber) for d in exporter.iter_series(STUDY, f"{STUDY}.1")] == [1, 2]
    shutil.rmtree(tmp_path / STUDY)
    assert [r.sop_instance_uid for r in importer.instances(STUDY)] == [str(image(2).SOPInstanceUID)]
    assert importer.instance(ref_of(image(1))) is None


def test_folder_ignores_what_is_no_instance(tmp_path: Path) -> None:
    """Notes, hidden files and unfinished files lie beside images; a second copy is not a second instance."""
    pacs = FolderPacs("main", tmp_path)
    pacs.store([image(1)])
    (tmp_path / "README.txt").write_text("Somebody's scans, copied on Friday. " * 50)
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / ".part-xyz").write_bytes(encoded(image(5)))
    (tmp_path / "copy.dcm").write_bytes(encoded(image(1)))
    assert [r.sop_instance_uid for r in pacs.instances(STUDY)] == [str(image(1).SOPInstanceUID)]
    assert len(list(pacs.iter_series(STUDY, f"{STUDY}.1"))) == 1


def test_folder_reads_files_without_meta_header(tmp_path: Path) -> None:
    """Old exports have neither preamble nor meta information."""
    whole = encoded(image(1, syntax=ImplicitVRLittleEndian))
    start = whole.index(b"\x08\x00\x16\x00")
    (tmp_path / "IM1").write_bytes(whole[start:])
    pacs = FolderPacs("main", tmp_path)
    assert [int(d.InstanceNumber) for d in pacs.iter_series(STUDY, f"{STUDY}.1")] == [1]


def test_folder_that_vanished_is_unavailable(tmp_path: Path) -> None:
    pacs = FolderPacs("main", tmp_path / "share")
    pacs.store([image(1)])
    (tmp_path / "share").rename(tmp_path / "gone")
    for call in (pacs.ping, lambda: pacs.instances(STUDY), lambda: pacs.store([image(2)])):
        with pytest.raises(UnavailableError, match="PACS 'main'"):
            call()
    (tmp_path / "gone").rename(tmp_path / "share")
    assert len(pacs.instances(STUDY)) == 1


def test_folder_has_no_urls(tmp_path: Path) -> None:
    assert FolderPacs("main", tmp_path).url_of("1.2", "1.3", "1.4") is None


# DICOMweb


@pytest.fixture
def web(orthanc: OrthancServer) -> Iterator[WebPacs]:
    yield WebPacs("main", orthanc.settings)
    orthanc.start()
    orthanc.clear()


def test_web_pacs_that_is_down_is_unavailable_until_it_is_back(web: WebPacs, orthanc: OrthancServer) -> None:
    web.store([image(1)])
    orthanc.kill()
    calls = (
        web.ping,
        lambda: web.instances(STUDY),
        lambda: list(web.iter_series(STUDY, f"{STUDY}.1")),
        lambda: web.instance(ref_of(image(1))),
        lambda: web.store([image(2)]),
    )
    for call in calls:
        with pytest.raises(UnavailableError, match="PACS 'main'") as seen:
            call()
        assert seen.value.neighbour == "PACS 'main'"
    orthanc.start()
    assert [r.sop_instance_uid for r in web.instances(STUDY)] == [str(image(1).SOPInstanceUID)]


def test_web_pacs_with_wrong_password_or_wrong_path_is_unavailable(orthanc: OrthancServer) -> None:
    """A wrong setting must not read as 'there is no such study'."""
    settings = orthanc.settings
    locked = WebPacs("main", settings.model_copy(update={"password": None}))
    with pytest.raises(UnavailableError, match="does not let the service in"):
        locked.instances(STUDY)
    astray = WebPacs("main", settings.model_copy(update={"url": f"{orthanc.url}/no-such-thing"}))
    with pytest.raises(UnavailableError, match="404"):
        astray.instances(STUDY)


def test_web_pacs_names_an_instance_that_was_damaged(web: WebPacs, orthanc: OrthancServer) -> None:
    """An archive gives back what its disk holds; the user must learn which instance to send again."""
    uids = [str(image(n).SOPInstanceUID) for n in (1, 2)]
    web.store([image(1), image(2)])
    orthanc.stop()
    files = [f for f in (orthanc.folder / "storage").rglob("*") if f.is_file() and f.read_bytes()[128:132] == b"DICM"]
    (damaged,) = [f for f in files if uids[1].encode() in f.read_bytes()]
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    orthanc.start()
    with pytest.raises(RefusedError) as seen:
        web.instance(ref_of(image(2)))
    assert uids[1] in seen.value.reason
    assert "Somebody" not in str(seen.value)


def test_web_pacs_can_be_used_from_many_threads(web: WebPacs) -> None:
    web.store([image(n) for n in range(1, 9)])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(web.instance, [ref_of(image(n)) for n in range(1, 9)]))
    assert [int(d.InstanceNumber) for d in found if d is not None] == list(range(1, 9))


def test_links_start_with_the_public_url(orthanc: OrthancServer) -> None:
    inside = WebPacs("main", orthanc.settings)
    assert inside.url_of("1.2", "1.3", "1.4") == f"{orthanc.dicomweb_url}/studies/1.2/series/1.3/instances/1.4"
    outside = WebPacs("main", orthanc.settings.model_copy(update={"public_url": "https://pacs.example/dicom-web/"}))
    assert outside.url_of("1.2", "1.3", "1.4") == "https://pacs.example/dicom-web/studies/1.2/series/1.3/instances/1.4"


def test_settings_name_archives(tmp_path: Path, orthanc: OrthancServer) -> None:
    opened = open_pacs(Settings(pacs={"near": FolderPacsSettings(folder=tmp_path), "far": orthanc.settings}))
    assert isinstance(opened["near"], FolderPacs)
    assert isinstance(opened["far"], WebPacs)
    for name, pacs in opened.items():
        assert pacs.name == name
        pacs.ping()
