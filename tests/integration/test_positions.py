"""The same body in the room under the same beam, exported as other patient positions: the same dose in the room.

CT and RTSTRUCT go in as DICOM, plan and dose come out as DICOM, and nothing else is looked at. Fails when importer,
planner, engine input or exporter take a prone, feet-first or decubitus patient for another one. The phantom's sides
are 300, 200 and 160 mm and the beam is oblique, so that no wrong turn gives the same.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from radiarch_common.result import Layer, ResultBeam
from radiarch_standalone.phantom import CENTRE_MM
from radiarch_testkit.exported import centroid, dose_of, planned_ray
from radiarch_testkit.lying import in_patient, in_room, room_array
from radiarch_testkit.one_spot import Bench

ISOCENTRE_MM = (CENTRE_MM[0] + 12.0, CENTRE_MM[1] - 9.0, CENTRE_MM[2] + 7.0)
"""In the room: right, down, towards the gantry; LPS of the patient head-first supine."""


def exported(folder: Path, position: str) -> tuple[Dataset, Dataset]:
    """RTPLAN and RTDOSE of one off-axis spot at gantry 30, couch 15."""
    bench = Bench(folder, dose_grid_mm=2.0, position=position)
    x, y, z = (float(v) for v in in_patient(position, ISOCENTRE_MM))
    layer = Layer(
        energy_mev=140.0, x_mm=(21.0,), y_mm=(-33.0,), mu=(4.0,), spot_fwhm_mm=bench.engine.model.fwhm_mm(140.0)
    )
    beam = ResultBeam(
        number=1,
        name="oblique",
        gantry_angle_deg=30.0,
        couch_angle_deg=15.0,
        isocentre_mm=(x, y, z),
        virtual_source_axis_distances_mm=bench.engine.model.reach.source_mm,
        nozzle_isocentre_distance_mm=bench.engine.model.data.nozzle_mm,
        layers=(layer,),
    )
    return bench.irradiate((beam,), primaries=20_000)


def in_the_room(dose: Dataset, position: str) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float64]]:
    """Dose by the room's directions (towards the gantry, down, right), and its lowest corner: right, down, in."""
    _, places = dose_of(dose)
    scaled = dose.pixel_array * float(dose.DoseGridScaling)
    return room_array(position, scaled), in_room(position, places).min(axis=0)


@pytest.fixture(scope="module")
def supine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    return exported(tmp_path_factory.mktemp("supine"), "HFS")


@pytest.mark.parametrize("position", ["FFS", "HFDL"])
def test_the_same_body_gets_the_same_dose_in_the_room(
    supine: tuple[Dataset, Dataset], position: str, tmp_path: Path
) -> None:
    plan, dose = exported(tmp_path, position)
    assert plan.PatientSetupSequence[0].PatientPosition == position
    hot = centroid(dose)
    assert planned_ray(plan).distance_mm(hot) < 2.0
    expected, corner = in_the_room(supine[1], "HFS")
    found, own_corner = in_the_room(dose, position)
    assert np.allclose(own_corner, corner)
    assert np.array_equal(found, expected)
    # The oracle can fail: the same angles at a patient head-first supine are another ray.
    plan.PatientSetupSequence[0].PatientPosition = "HFS"
    assert planned_ray(plan).distance_mm(hot) > 10.0
