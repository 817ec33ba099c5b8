"""Which range shifter a beam gets, and what is refused by name.

Fails when a thicker one is taken than is needed, when one is taken that leaves the far side of the target out of
reach, and when a refusal does not name beam, depths and ranges.
"""

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Beam
from radiarch_common.result import BeamRangeShifter
from radiarch_planner.reach import Reach, range_shifter_for, refuse_collision


def block(name: str, wet_mm: float) -> BeamRangeShifter:
    return BeamRangeShifter(id=name, description="PMMA", wet_mm=wet_mm, isocentre_distance_mm=300.0)


THIN, THICK = block("thin", 40.0), block("thick", 74.0)
REACH = Reach(np.array([100.0, 150.0, 200.0]), np.array([77.0, 158.0, 260.0]), (2e3, 2e3), range_shifters=(THIN, THICK))


def depths(least: float, most: float) -> npt.NDArray[np.float32]:
    return np.linspace(least, most, 1000, dtype=np.float32)


def chosen(least: float, most: float, asked: str = "auto", reach: Reach = REACH) -> BeamRangeShifter | None:
    beam = Beam(name="G0", gantry_angle_deg=0.0, range_shifter=asked)
    return range_shifter_for(beam, depths(least, most), reach, layer_spacing_mm=4.0)


@pytest.mark.parametrize(
    ("least", "most", "taken"),
    [
        (80.0, 250.0, None),
        (75.5, 200.0, None),  # within half a layer of the lowest range
        (50.0, 200.0, THIN),
        (36.0, 219.0, THIN),
        (20.0, 150.0, THICK),
        (4.0, 185.0, THICK),
    ],
)
def test_the_thinnest_that_reaches_all_of_the_target_is_taken(
    least: float, most: float, taken: BeamRangeShifter | None
) -> None:
    assert chosen(least, most) == taken


def test_a_request_binds_the_choice() -> None:
    assert chosen(50.0, 180.0, "thick") == THICK
    assert chosen(80.0, 180.0, "thin") == THIN
    assert chosen(80.0, 250.0, "none") is None
    with pytest.raises(RefusedError, match="'thicker', which the machine has not") as refused:
        chosen(50.0, 180.0, "thicker")
    assert refused.value.hint == "Choose one of: auto, none, thin, thick."


@pytest.mark.parametrize(
    ("least", "most", "asked", "why", "hint"),
    [
        (20.0, 90.0, "none", "too shallow", "let the planner choose the range shifter with 'auto'"),
        (20.0, 90.0, "thin", "too shallow", "(the machine has 'thin', 'thick')"),
        (200.0, 300.0, "auto", "too deep", "less deep."),
        (100.0, 200.0, "thick", "too deep", "'auto'"),
        (10.0, 250.0, "auto", "too deep in parts and too shallow in others", "within one of these ranges."),
    ],
)
def test_what_no_range_shifter_reaches_is_refused(least: float, most: float, asked: str, why: str, hint: str) -> None:
    with pytest.raises(RefusedError) as refused:
        chosen(least, most, asked)
    assert f"The target is {why} for beam 'G0': it lies {least / 10:.1f} to {most / 10:.1f} cm" in refused.value.reason
    assert refused.value.hint.endswith(hint) or hint in refused.value.hint
    if asked == "auto":
        # 7.7 and 26 cm, less 4 and 7.4 cm.
        assert "reaches 7.7 to 26.0 cm (100 to 200 MeV) or 3.7 to 22.0 cm" in refused.value.reason
        assert "0.3 to 18.6 cm (100 to 200 MeV) through range shifter 'thick'" in refused.value.reason


def test_energies_that_do_not_get_through_are_left_out() -> None:
    behind = REACH.behind(block("brass", 160.0))
    assert behind.energies_mev.tolist() == [200.0]
    assert behind.ranges_mm.tolist() == [100.0]


def test_a_range_shifter_does_not_stand_in_the_patient() -> None:
    beam = Beam(name="G0", gantry_angle_deg=0.0)
    refuse_collision(beam, THIN, np.array([120.0, 299.0]))
    refuse_collision(beam, None, np.array([120.0, 310.0]))
    with pytest.raises(RefusedError, match=r"'thin' of beam 'G0' ends 300 mm before .* patient reaches 310 mm"):
        refuse_collision(beam, THIN, np.array([120.0, 310.0]))


def test_a_setup_error_does_not_bring_it_there_either() -> None:
    """Fails when only the nominal place is looked at: a scenario would start protons inside the patient."""
    beam = Beam(name="G0", gantry_angle_deg=0.0)
    refuse_collision(beam, THIN, np.array([290.0]), room_mm=5.0)
    with pytest.raises(RefusedError, match="reaches 303 mm towards it with setup errors"):
        refuse_collision(beam, THIN, np.array([298.0]), room_mm=5.0)


def test_a_block_that_stops_every_energy_reaches_nothing() -> None:
    """Fails, by an IndexError, when a beam behind it is asked how far it reaches."""
    reach = Reach(np.array([100.0]), np.array([77.0]), (2e3, 2e3), range_shifters=(block("wall", 77.0),))
    beam = Beam(name="G0", gantry_angle_deg=0.0, range_shifter="wall")
    with pytest.raises(RefusedError, match="nothing through range shifter 'wall'"):
        range_shifter_for(beam, depths(20.0, 60.0), reach, 5.0)
