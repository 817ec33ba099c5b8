"""No build is used on a machine before it has shown that its dose is right there; what is wrong is said."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.errors import UnavailableError
from radiarch_common.settings import Settings
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.agreement import Findings, against_another_build, against_tables, same_bits
from radiarch_planner.engines.base import FloatArray
from radiarch_planner.engines.build import Cpu, build_folder, build_name, prepare_build
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.engines.selftest import SelfTestFailedError, examined_build, kept_at, read_kept
from radiarch_planner.engines.water_phantom import depths_mm
from radiarch_planner.engines.wheel import mcsquare_folder

WHEELS = mcsquare_folder() / build_name(Cpu.here())
# PSTAR, water: ranges of 100 and 200 MeV in mm, and stopping power 2 cm before, MeV cm2/g.
RANGE_MM = {100.0: 77.18, 200.0: 259.6}
PLATEAU = {100.0: 8.36e6, 200.0: 4.68e6}


def beam(
    energy: float,
    scale: float = 1.0,
    shift_mm: float = 0.0,
    sigma_mm: float = 4.0,
    noise: float = 0.005,
    seed: int = 1,
) -> FloatArray:
    """A made-up dose: flat to 2 cm before the range, then up to four times as much; noise of each layer's own."""
    random = np.random.default_rng(seed)
    depths = depths_mm() - shift_mm
    end = RANGE_MM[energy]
    curve = PLATEAU[energy] * np.interp(depths, [0, end - 20, end - 4, end, end + 4], [1, 1, 4, 3.2, 0])
    curve *= 1.0 + noise * random.standard_normal(len(curve))
    places = 5.0 * (np.arange(25) - 12)
    across: npt.NDArray[np.float64] = np.exp(-0.5 * (places / sigma_mm) ** 2)
    across /= across.sum()
    return (scale * curve[None, :, None] * across[:, None, None] * across[None, None, :] / 0.25).astype(np.float32)


def outcome(low: FloatArray, high: FloatArray, without_nuclei: FloatArray) -> Findings:
    findings = Findings()
    against_tables((low, high), without_nuclei, findings)
    return findings


def test_a_right_dose_passes() -> None:
    findings = outcome(beam(100.0, 1.04), beam(200.0, 1.11), beam(100.0))
    assert findings.failed == []
    assert len(findings.passed) == 5


@pytest.mark.parametrize(
    ("low", "high", "without", "said"),
    [
        (beam(100.0, 1.04), beam(200.0, 1.11, 2.0), beam(100.0), "R80 at 200 MeV is 26"),
        (beam(100.0, 1.04, -2.0), beam(200.0, 1.11), beam(100.0), "R80 at 100 MeV is 7"),
        (beam(100.0, 1.6), beam(200.0, 1.6), beam(100.0), "dose 2 cm deep at 200 MeV is 1.6"),
        (beam(100.0, 1.04), beam(200.0, 1.11), beam(100.0, 1.04), "without nuclear interactions is 1.0"),
        (beam(100.0) * np.float32(np.nan), beam(200.0), beam(100.0), "negative or no numbers"),
        (-beam(100.0), beam(200.0), beam(100.0), "negative or no numbers"),
        (beam(100.0), beam(200.0) * 0, beam(100.0), "0 everywhere"),
        (beam(100.0) * 0 + 1, beam(200.0), beam(100.0), "R80 at 100 MeV is 28"),
    ],
)
def test_a_wrong_dose_fails_and_is_named(low: FloatArray, high: FloatArray, without: FloatArray, said: str) -> None:
    """Fails when a range 2 mm off, a dose 4 % off without nuclei, or no dose at all goes through."""
    assert any(said in words for words in outcome(low, high, without).failed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": 1.02}, "mean dose at 100 MeV is 1.02"),
        ({"shift_mm": 1.0}, "R80 at 100 MeV is +"),
        ({"sigma_mm": 5.0}, "1 sigma of the beam"),
        ({"noise": 0.03}, "the variance of depth dose"),
    ],
)
def test_another_builds_dose_is_told_from_this_ones(change: dict[str, Any], said: str) -> None:
    """Fails when a build whose dose is 2 % higher, 1 mm deeper or a quarter wider counts as the same."""
    others = (beam(100.0, seed=2), beam(100.0, seed=3))
    same, different = Findings(), Findings()
    against_another_build(100.0, beam(100.0), others, "MCsquare_linux", same)
    assert same.failed == []
    against_another_build(100.0, beam(100.0, **change), others, "MCsquare_linux", different)
    assert any(said in words for words in different.failed)


def test_noise_where_there_shall_be_none() -> None:
    findings = Findings()
    same_bits(beam(100.0), beam(100.0, seed=2), findings)
    assert findings.failed == ["the same seed gave another dose."]


def test_a_passed_test_is_kept_and_not_made_again(
    make_engine: Callable[..., McsquareEngine], engine_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the second engine on a machine starts a process, or the kept cost is not that of the first."""
    cost = make_engine().cost(QuietWatch())
    (kept,) = [found for found in map(read_kept, engine_folder.glob("*.json")) if found]
    assert kept.cost == cost
    assert kept.build == WHEELS.name
    assert any("R80 at 200 MeV" in words for words in kept.findings)
    monkeypatch.setattr(subprocess, "Popen", None)
    assert make_engine().cost(QuietWatch()) == cost
    assert cost.protons_seconds(1, 260.0) > cost.protons_seconds(1, 77.0) > 0.0


def test_what_was_kept_belongs_to_one_build_one_cpu_and_this_test(tmp_path: Path) -> None:
    """Fails when the folder is moved to another CPU, or the test changes, and nothing is tested again."""
    home = build_folder(Settings(engine_folder=tmp_path))
    here = Cpu.here()
    assert kept_at(home, here) != kept_at(home, Cpu(here.vendor, here.flags, "another model"))
    assert kept_at(home, here) != kept_at(home, Cpu(here.vendor, here.flags | {"amx"}, here.model))
    path = kept_at(home, here)
    assert path.parent == tmp_path
    assert read_kept(path) is None
    path.write_text('{"layout": 0}')
    assert read_kept(path) is None


def own_binary(folder: Path, scale: float) -> Path:
    """The wheel's build, with its dose multiplied: what a miscompiled binary might do."""
    real = prepare_build(Settings(engine_folder=folder / "wheels")).binary
    binary = folder / "MCsquare_own"
    binary.write_text(
        f"#!{sys.executable}\nimport pathlib, subprocess, sys\nimport numpy as np\n"
        f"code = subprocess.run([{str(real)!r}, *sys.argv[1:]]).returncode\n"
        "path = pathlib.Path('Outputs/Dose.raw')\n"
        f"path.exists() and (np.fromfile(path, np.float32) * np.float32({scale})).tofile(path)\n"
        "sys.exit(code)\n"
    )
    return binary


def test_an_own_binary_that_differs_from_the_wheels_is_refused(tmp_path: Path) -> None:
    """A dose 1.5 % too high passes the tables; fails when it is not held against the wheel's build, or is kept."""
    settings = Settings(engine_folder=tmp_path / "engines", mcsquare_binary=own_binary(tmp_path, 1.015))
    build = prepare_build(settings)
    with pytest.raises(SelfTestFailedError, match=r"mean dose at .* of MCsquare_linux.*RADIARCH_MCSQUARE_BINARY"):
        examined_build(build, settings, QuietWatch())
    assert not list((tmp_path / "engines").glob("*.json"))


def test_an_own_binary_like_the_wheels_is_used(tmp_path: Path) -> None:
    """Fails when noise of another seed counts as another dose, or when the comparison is not made."""
    binary = tmp_path / "MCsquare_own"
    binary.write_bytes(WHEELS.read_bytes() + b"\n")
    settings = Settings(engine_folder=tmp_path / "engines", mcsquare_binary=binary)
    passed = examined_build(prepare_build(settings), settings, QuietWatch())
    assert passed.build == "MCsquare_own"
    assert any(f"of {WHEELS.name}'s" in words for words in passed.findings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x7fELF nothing that runs", "Exec format error"),
        (b"#!/bin/sh\necho 'Error: Please verify that your CPU is Intel(R)'; exit 1\n", "Please verify"),
    ],
)
def test_a_binary_that_does_not_run_here_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    """A job waits for a planner whose engine runs, with what the engine said; it is not given up on."""
    binary = tmp_path / "engine"
    binary.write_bytes(content)
    settings = Settings(engine_folder=tmp_path / "engines", mcsquare_binary=binary)
    with pytest.raises(UnavailableError, match=f"(?s)passes its self-test.*does not run here.*{said}"):
        examined_build(prepare_build(settings), settings, QuietWatch())
