"""Statistics of beams: counted by hand, and nothing assumed that the machine does not say."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from radiarch_common.result import BeamRangeShifter, Layer, ResultBeam
from radiarch_planner.beam_statistics import beam_statistics
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.machine import DeliveryTimes, read_machine
from radiarch_planner.reach import Reach

REACH = Reach(np.array([100.0, 150.0, 200.0]), np.array([77.0, 158.0, 260.0]), (2000.0, 2000.0))
TIMES = DeliveryTimes(energy_switch_s=2.0, spot_settling_s=0.004, mu_per_s=5.0, origin="measured on a test day")
MACHINES = Path(__file__).parents[1] / "src" / "radiarch_planner" / "machines"


def layer(energy_mev: float, mu: tuple[float, ...]) -> Layer:
    places = tuple(float(k) for k in range(len(mu)))
    return Layer(energy_mev=energy_mev, x_mm=places, y_mm=places, mu=mu, spot_fwhm_mm=(12.0, 12.0))


BEAM = ResultBeam(
    number=2,
    name="G90",
    gantry_angle_deg=90.0,
    couch_angle_deg=0.0,
    isocentre_mm=(0.0, 0.0, 0.0),
    virtual_source_axis_distances_mm=(2000.0, 2000.0),
    nozzle_isocentre_distance_mm=400.0,
    layers=(layer(175.0, (1.0, 2.0, 3.0)), layer(150.0, (0.5, 3.5)), layer(125.0, (10.0,))),
)


def test_everything_is_counted() -> None:
    [found] = beam_statistics([BEAM], REACH, TIMES)
    assert (found.number, found.name, found.layers, found.spots) == (2, "G90", 3, 6)
    assert (found.lowest_energy_mev, found.highest_energy_mev) == (125.0, 175.0)
    assert (found.shallowest_range_mm, found.deepest_range_mm) == (117.5, 209.0)
    assert (found.meterset_mu, found.lowest_spot_mu, found.highest_spot_mu) == (20.0, 0.5, 10.0)
    # Two switches, six settlings, 20 MU at 5 MU/s.
    assert found.delivery_s == pytest.approx(4.0 + 0.024 + 4.0)
    assert found.delivery_basis is not None
    assert "measured on a test day" in found.delivery_basis


def test_a_machine_that_gives_no_times_gets_no_estimate() -> None:
    """The generic machine is nobody's: whatever time were given for it would be invented."""
    machine = read_machine(MACHINES / "generic-pbs")
    [found] = beam_statistics([BEAM], BeamModel.of(machine).reach, machine.file.delivery)
    assert (found.delivery_s, found.delivery_basis) == (None, None)
    # PSTAR: the CSDA range of 125 MeV in water is 114.6 mm, that of 175 MeV 210.6 mm; nominal is not mean energy.
    assert found.shallowest_range_mm == pytest.approx(114.6, abs=2.5)
    assert found.deepest_range_mm == pytest.approx(210.6, abs=3.5)


def test_times_without_their_origin_are_refused() -> None:
    with pytest.raises(ValidationError, match="origin"):
        DeliveryTimes.model_validate({"energy_switch_s": 2.0, "spot_settling_s": 0.0, "mu_per_s": 5.0})


def test_ranges_are_those_behind_the_range_shifter() -> None:
    block = BeamRangeShifter(id="rs-40", description="PMMA", wet_mm=40.0, isocentre_distance_mm=300.0)
    [found] = beam_statistics([BEAM.model_copy(update={"range_shifter": block})], REACH, TIMES)
    assert (found.shallowest_range_mm, found.deepest_range_mm) == (77.5, 169.0)
    assert found.range_shifter == "rs-40"
