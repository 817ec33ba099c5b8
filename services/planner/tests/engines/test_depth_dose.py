"""Ranges and LET in water, against NIST's tables; nothing of the code under test is used for what is expected.

The beam data library's nominal and mean energies are written here, and so are NIST's numbers.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import radiarch_planner
from radiarch_common.errors import RefusedError
from radiarch_common.plans import PlanSpec
from radiarch_common.result import Layer, ResultBeam
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FinalDose, Patient
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.entry_files import EntryError
from radiarch_planner.machine import read_machine

# NIST PSTAR, liquid water: energy in MeV, CSDA range in g/cm2.
RANGES = np.array(
    [[50, 2.227], [70, 4.080], [100, 7.718], [125, 11.46], [150, 15.77], [175, 20.62], [200, 25.96], [225, 31.74],
     [250, 37.94]]
)  # fmt: skip
# The same: energy in MeV, stopping power in MeV cm2/g, which is a tenth of it in keV/um.
STOPPING = np.array([[50, 12.45], [70, 9.559], [100, 7.289], [125, 6.192], [150, 5.445], [175, 4.903]])
# The library's rows: nominal energy and MeanEnergy, MeV.
MEAN_MEV = {100.0: 100.305, 125.0: 125.579, 150.0: 150.559, 175.0: 175.464, 200.0: 200.484, 225.0: 225.217}

MakeEngine = Callable[..., McsquareEngine]
MakeWater = Callable[..., Patient]
MakeSpec = Callable[..., PlanSpec]


@dataclass(frozen=True)
class Shot:
    """A pencil beam along y into a block: depths of its layers in mm, and what it leaves in them altogether."""

    depth_mm: npt.NDArray[np.float64]
    dose: npt.NDArray[np.float64]
    final: FinalDose

    @property
    def r80_mm(self) -> float:
        """Distal depth of 80 % of the maximum, both by a parabola or line through neighbouring layers."""
        peak = int(self.dose.argmax())
        curve = np.polynomial.Polynomial.fit(self.depth_mm[peak - 2 : peak + 3], self.dose[peak - 2 : peak + 3], 2)
        top = float(curve(curve.deriv().roots()[0]))
        after = peak + int(np.argmax(self.dose[peak:] < 0.8 * top))
        part = (self.dose[after - 1] - 0.8 * top) / (self.dose[after - 1] - self.dose[after])
        return float(self.depth_mm[after - 1] + part * (self.depth_mm[after] - self.depth_mm[after - 1]))

    def let_at(self, depth_mm: float) -> float:
        """LET averaged by dose over layers within 2 mm of a depth, keV/um."""
        assert self.final.let_kev_um is not None
        near = np.abs(self.depth_mm - depth_mm) <= 2.0
        dose, let = self.final.dose_gy[:, near].astype(np.float64), self.final.let_kev_um[:, near]
        return float((dose * let).sum() / dose.sum())


def pencil(energy_mev: float) -> ResultBeam:
    layer = Layer(energy_mev=energy_mev, x_mm=(0.0,), y_mm=(0.0,), mu=(1.0,), spot_fwhm_mm=(8.0, 9.0))
    return ResultBeam(
        number=1,
        name="Front",
        gantry_angle_deg=0.0,
        couch_angle_deg=0.0,
        isocentre_mm=(0.0, 20.0, 0.0),
        virtual_source_axis_distances_mm=(2234.8, 1859.1),
        nozzle_isocentre_distance_mm=410.0,
        layers=(layer,),
    )


@pytest.fixture(scope="module")
def shoot(make_engine: MakeEngine, make_water: MakeWater, make_spec: MakeSpec) -> Callable[..., Shot]:
    def shot(
        energy_mev: float, calibration: str = "water", hu: float = 0.0, depth_mm: int = 0, *, nuclear: bool = True,
        let_map: bool = False,
    ) -> Shot:  # fmt: skip
        # Two batches do: a process takes longer to start than to simulate what a range needs.
        spec = make_spec(primaries_final=10_000, let_map=let_map).model_copy(update={"batches": 2})
        deep = depth_mm or int(range_mm(energy_mev + 1.0) + 15.0)
        block = make_water((-75.0, 0.5, -75.0), (6.0, 1.0, 6.0), (26, deep, 26))
        block = Patient(block.grid, block.ct_hu + np.float32(hu), "HFS")
        engine = make_engine(calibration=calibration, nuclear=nuclear)
        final = engine.final_dose(block, (pencil(energy_mev),), spec, QuietWatch())
        return Shot(np.arange(deep) + 0.5, final.dose_gy.sum(axis=(0, 2), dtype=np.float64), final)

    return shot


def range_mm(energy_mev: float) -> float:
    return 10.0 * float(np.exp(np.interp(np.log(energy_mev), *np.log(RANGES).T)))


def energy_mev(residual_mm: float) -> float:
    return float(np.exp(np.interp(np.log(residual_mm / 10.0), *np.log(RANGES[:, ::-1]).T)))


def let_kev_um(mev: float) -> float:
    return 0.1 * float(np.exp(np.interp(np.log(mev), *np.log(STOPPING).T)))


@pytest.mark.slow
def test_ranges_in_water_are_those_of_pstar(shoot: Callable[..., Shot]) -> None:
    """Fails when a range is off by more than 1 mm (0.5 % beyond 200 mm): another water, energy or geometry."""
    table = "nominal MeV   mean MeV   PSTAR mm   R80 mm   difference mm"
    off: dict[float, float] = {}
    for nominal, mean in MEAN_MEV.items():
        expected, found = range_mm(mean), shoot(nominal).r80_mm
        off[nominal] = abs(found - expected) / max(1.0, 0.005 * expected if expected > 200.0 else 0.0)
        table += f"\n{nominal:11.0f} {mean:10.3f} {expected:10.2f} {found:8.2f} {found - expected:+15.2f}"
    sys.stdout.write(f"\n{table}\n")
    assert max(off.values()) <= 1.0, off


@pytest.mark.parametrize("hu", [0.0, 300.0])
def test_ranges_through_a_calibration_follow_its_stopping_power(
    hu: float, shoot: Callable[..., Shot], make_engine: MakeEngine, make_water: MakeWater
) -> None:
    """Fails when spots are placed by another stopping power than the engine slows protons down with."""
    voxel = make_water((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 1))
    engine = make_engine(calibration="ucl-toshiba")
    relative = float(engine.stopping_power(Patient(voxel.grid, voxel.ct_hu + np.float32(hu), "HFS"))[0, 0, 0])
    assert relative != 1.0
    expected = range_mm(MEAN_MEV[150.0]) / relative
    assert shoot(150.0, "ucl-toshiba", hu).r80_mm == pytest.approx(expected, abs=1.0)


def test_let_is_the_stopping_power_of_what_is_left_of_the_energy(shoot: Callable[..., Shot]) -> None:
    """LET of protons alone at 150 MeV against PSTAR; it fails for another unit, or an average that is not by dose.

    Averaged by dose over energies that spread, LET is a little above the stopping power of their mean: 6 % are
    allowed for it. At the end of the range it is several times the LET at the entrance.
    """
    shot = shoot(150.0, nuclear=False, let_map=True)
    whole = range_mm(MEAN_MEV[150.0])
    for depth in (10.0, 50.0, 100.0, 130.0):
        expected = let_kev_um(energy_mev(whole - depth))
        assert 0.97 <= shot.let_at(depth) / expected <= 1.06, (depth, shot.let_at(depth), expected)
    course = [shot.let_at(depth) for depth in (10.0, 50.0, 100.0, 130.0, 150.0, 157.0, 160.0)]
    assert course == sorted(course)
    assert course[0] == pytest.approx(0.55, abs=0.03)
    assert course[-1] > 10.0 * course[0]
    final = shot.final
    assert final.let_kev_um is not None
    assert np.all(final.let_kev_um[final.dose_gy == 0] == 0)


def test_let_counts_what_nuclear_interactions_set_free(shoot: Callable[..., Shot]) -> None:
    """The engine's LET is of all its particles: with nuclear interactions it is more than that of protons alone."""
    assert shoot(150.0, let_map=True).let_at(20.0) > 2.0 * let_kev_um(energy_mev(range_mm(MEAN_MEV[150.0]) - 20.0))


@pytest.mark.slow
def test_uncertainty_falls_with_the_root_of_the_protons(
    make_engine: MakeEngine, make_water: MakeWater, make_spec: MakeSpec
) -> None:
    """Four times the batches halve it, within the tenth that its own noise allows; rounds continue, not repeat."""
    block = make_water((-48.0, 4.0, -48.0), (8.0, 8.0, 8.0), (13, 20, 13))
    rounds: list[FinalDose] = []

    def enough(dose: FinalDose) -> int:
        rounds.append(dose)
        return 30 if len(rounds) == 1 else 0

    watch = QuietWatch()
    last = make_engine().final_dose(block, (pencil(150.0),), make_spec(primaries_final=10_000), watch, enough=enough)
    assert (last.batches, last.primaries) == (40, 40_000)
    assert [dose.batches for dose in rounds] == [10, 40]
    hot = last.dose_gy > 0.3 * last.dose_gy.max()
    few, many = (float(np.mean(dose.uncertainty_gy[hot] / dose.dose_gy[hot])) for dose in rounds)
    assert few / many == pytest.approx(2.0, rel=0.1)
    shares = [share for share, _ in watch.reports]
    assert shares == sorted(shares)


@pytest.mark.parametrize("energy", [99.9, 225.1, 70.0])
def test_energies_nobody_measured_are_refused(
    energy: float, make_engine: MakeEngine, make_water: MakeWater, make_spec: MakeSpec
) -> None:
    """Fails when the engine is left to extrapolate beam data, which it does without a word."""
    block = make_water((-48.0, 4.0, -48.0), (8.0, 8.0, 8.0), (13, 20, 13))
    with pytest.raises(RefusedError, match=f"layers of {energy:g} MeV, and .* 100 to 225 MeV"):
        make_engine().final_dose(block, (pencil(energy),), make_spec(), QuietWatch())


@pytest.mark.parametrize(
    "change", [("minimum", "100.0", "70.0"), ("maximum", "225.0", "226.0"), ("maximum", "225.0", "99.0")]
)
def test_a_machine_that_claims_energies_its_beam_data_lack_is_refused(
    change: tuple[str, str, str], tmp_path: Path
) -> None:
    """Fails when machine.toml may name energies between or beyond the rows: they would be interpolated, or missing."""
    which, was, now = change
    text = (Path(radiarch_planner.__file__).parent / "machines" / "generic-pbs" / "machine.toml").read_text()
    line = f"{which}_energy_mev = {was}"
    assert line in text
    (tmp_path / "machine.toml").write_text(text.replace(line, f"{which}_energy_mev = {now}"))
    with pytest.raises((RefusedError, EntryError), match=r"measured rows|minimum_energy_mev"):
        BeamModel.of(read_machine(tmp_path))
