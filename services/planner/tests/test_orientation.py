"""All eight patient positions: what lies where in the room, and the turn that an engine's input takes.

Expected directions are written out by hand; the turn is compared with where a planning system's image headers put
the same points. A swapped left and right, head and feet, or a reflection instead of a rotation fails here.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.positions import POSITIONS
from radiarch_planner.orientation import Turn, fixed_of_lps
from radiarch_planner.steering import BeamFrame
from radiarch_testkit.iec61217 import DIRECTIONS, IN_ROOM, spot_ray
from radiarch_testkit.lying import ORIENTATION, in_patient, in_room

SOURCE_MM = (2234.8, 1859.1)
ENTERS = {
    #        gantry 0, gantry 90, gantry 180, gantry 270, gantry 90 with the couch at 90
    "HFS": "ALPRF",
    "HFP": "PRALF",
    "HFDL": "RALPF",
    "HFDR": "LPRAF",
    "FFS": "ARPLH",
    "FFP": "PLARH",
    "FFDL": "RPLAH",
    "FFDR": "LARPH",
}
"""The side of the patient from which a beam comes. Gantry 0 comes from above: from the front of a supine patient, from
the right side of one who lies on the left. The couch at 90, seen from above, has turned what was towards the gantry to
the left of someone who faces it, and gantry 90 comes from the right: from the feet when the head went in first."""
ANGLES = ((0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (270.0, 0.0), (90.0, 90.0))


@pytest.mark.parametrize("position", POSITIONS)
def test_a_beam_comes_from_the_side_that_the_position_turns_to_it(position: str) -> None:
    above = np.array([0.0, 0.0, 1000.0])
    for (gantry, couch), side in zip(ANGLES, ENTERS[position], strict=True):
        source = BeamFrame.of((0.0, 0.0, 0.0), gantry, couch, SOURCE_MM, position).to_lps(above)
        assert np.allclose(source, 1000.0 * np.array(DIRECTIONS[side])), (gantry, couch, source)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(("gantry_deg", "couch_deg"), [(30.0, 15.0), (215.0, 340.0), (270.0, 90.0)])
def test_spots_lie_on_the_rays_of_the_standard(position: str, gantry_deg: float, couch_deg: float) -> None:
    isocentre, spot = (12.0, 118.0, -9.0), (25.0, -18.0)
    ray = spot_ray(gantry_deg, couch_deg, np.array(isocentre), spot, SOURCE_MM, position)
    frame = BeamFrame.of(isocentre, gantry_deg, couch_deg, SOURCE_MM, position)
    points = frame.ray(np.array([spot]), np.array([150.0, 0.0, -150.0]))[0]
    assert max(ray.distance_mm(point) for point in points) < 1e-6
    assert (points[2] - points[0]) @ ray.direction > 0.0
    assert np.allclose(frame.spot_of(points), spot)


@pytest.mark.parametrize("position", POSITIONS)
def test_words_and_image_headers_agree(position: str) -> None:
    """The two oracles know the room from different sources: what the words mean, and what a planning system writes."""
    right, towards_gantry, up = (np.array(DIRECTIONS[side]) for side in IN_ROOM[position])
    assert np.array_equal(fixed_of_lps(position), [right, towards_gantry, up])
    assert np.array_equal(in_patient(position, np.eye(3)), [right, -up, towards_gantry])


@pytest.mark.parametrize("position", POSITIONS)
def test_a_turned_point_is_where_the_room_has_it(position: str) -> None:
    place = (3.0, -70.5, 1200.25)
    turn = Turn.to_supine(position)
    assert turn.point(place) == tuple(in_room(position, place))
    assert turn.inverse.point(turn.point(place)) == place


@pytest.mark.parametrize("position", POSITIONS)
def test_a_turned_array_has_every_voxel_at_its_turned_place(position: str) -> None:
    """Unequal sizes and spacings: an axis taken for another one, or a flip about the wrong end, shows."""
    grid = Grid(origin_mm=(-10.0, 40.0, 7.0), spacing_mm=(2.0, 3.0, 5.0), size=(3, 4, 2))
    values = np.arange(24).reshape(grid.shape)
    turn = Turn.to_supine(position)
    turned, seen = turn.array(values), turn.grid(grid)
    assert turned.shape == seen.shape
    for z, y, x in np.ndindex(*grid.shape):
        place = grid.axis_mm(0)[x], grid.axis_mm(1)[y], grid.axis_mm(2)[z]
        i, j, k = np.rint(seen.index_of(np.array([turn.point(place)]))[0]).astype(int)
        assert turned[k, j, i] == values[z, y, x]
    assert np.array_equal(turn.inverse.array(turned), values)
    assert turn.inverse.grid(seen) == grid


def test_head_first_supine_is_not_touched() -> None:
    grid = Grid(origin_mm=(-0.1, 1 / 3, 7.7), spacing_mm=(0.9765625, 0.7, 2.5), size=(3, 4, 2))
    values = np.arange(24, dtype=np.float32).reshape(grid.shape)
    turn = Turn.to_supine("HFS")
    assert turn.grid(grid) == grid
    assert turn.array(values).strides == values.strides
    assert turn.array(values).tobytes() == values.tobytes()


@pytest.mark.parametrize("position", ["", "hfs", "HF", "SITTING", "LFP", "AFDL"])
def test_any_other_position_is_refused_by_name(position: str) -> None:
    """The standard has more of them, for animals; none is taken for head-first supine."""
    with pytest.raises(RefusedError, match=position or "empty") as seen:
        BeamFrame.of((0.0, 0.0, 0.0), 0.0, 0.0, SOURCE_MM, position)
    assert all(known in seen.value.hint for known in POSITIONS)


def test_real_headers_of_all_eight_positions() -> None:
    """Doses of a commercial system: rows run to the room's right and columns down, whatever the position."""
    folder = Path(os.environ.get("RADIARCH_TEST_DATA", "no-data")) / "orient"
    if not folder.is_dir():
        pytest.skip("RADIARCH_TEST_DATA names no folder that has orient")
    seen: set[str] = set()
    for path in folder.glob("*.dcm"):
        position = path.stem.rpartition("_")[2]
        orientation = np.array([float(v) for v in dcmread(path).ImageOrientationPatient])
        row, column = orientation[:3], orientation[3:]
        assert tuple(orientation) == ORIENTATION[position]
        assert np.array_equal(fixed_of_lps(position), [row, np.cross(row, column), -column])
        seen.add(position)
    assert seen == set(POSITIONS)
