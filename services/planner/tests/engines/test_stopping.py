"""An engine ends when it is asked to, when its planner dies, and with its reason when it fails."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from radiarch_common.errors import StoppedError
from radiarch_common.plans import PlanSpec
from radiarch_common.result import ResultBeam
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient, Placement
from radiarch_planner.engines.build import Build
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.engines.processes import EngineFailedError, EngineRun, progress_of, run_engine

MakeEngine = Callable[..., McsquareEngine]
Plan = tuple[Patient, Placement, tuple[ResultBeam, ...]]
PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif(not Path("/proc/self/exe").exists(), reason="finds processes in /proc")


def engines_of(parent: int | None, folder: Path) -> list[int]:
    """Processes whose program lies in a folder; of any parent, or of one."""
    found: list[int] = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            program = (process / "exe").readlink()
            status = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if program.is_relative_to(folder) and status[0] != "Z" and parent in (None, int(status[1])):
            found.append(int(process.name))
    return found


def wait_until(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def plan(
    make_water: Callable[..., Patient],
    make_ball: Callable[..., FloatArray],
    make_engine: MakeEngine,
    make_spec: Callable[..., PlanSpec],
) -> Plan:
    patient = make_water((-60.0, 2.0, -60.0), (4.0, 4.0, 4.0), (31, 45, 31))
    engine = make_engine()
    placement = engine.place(patient, make_ball(patient.grid, (0.0, 120.0, 0.0), 20.0), make_spec(), QuietWatch())
    return patient, placement, engine.beams(placement, np.ones(placement.count))


@pytest.mark.parametrize("work", ["beamlets", "final dose"])
def test_nothing_runs_after_a_stop(
    work: str, plan: Plan, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec], engine_folder: Path
) -> None:
    patient, placement, beams = plan
    engine, watch = make_engine(), QuietWatch()
    spec = make_spec(primaries_per_spot=1_000_000, primaries_final=1_000_000_000)

    def stop_when_running() -> None:
        wait_until(lambda: len(engines_of(os.getpid(), engine_folder)) == 2)
        watch.stopping.set()

    stopper = threading.Thread(target=stop_when_running)
    stopper.start()
    run = {
        "beamlets": lambda: engine.beamlets(patient, placement, np.arange(1000), spec, watch),
        "final dose": lambda: engine.final_dose(patient, beams, spec, watch),
    }[work]
    with pytest.raises(StoppedError):
        run()
    assert not engines_of(None, engine_folder)
    stopper.join()


def test_engines_die_with_a_killed_planner(engine_folder: Path, make_engine: MakeEngine, tmp_path: Path) -> None:
    make_engine()  # the folder is made
    script = textwrap.dedent(
        """
        import sys, threading
        from pathlib import Path
        from radiarch_planner.engines.build import Build
        from radiarch_planner.engines.processes import EngineRun, run_engine
        binary, folder = Path(sys.argv[1]), Path(sys.argv[2])
        build = Build("sleeper", "0" * 64, "any", binary, folder, "0" * 64)
        run_engine(build, EngineRun(folder, 600.0), threading.Event(), lambda share: None)
        """
    )
    sleeper = tmp_path / "sleeper"
    sleeper.symlink_to(sys.executable)
    (tmp_path / "config.txt").write_text("import time\ntime.sleep(600)\n")
    home = Path(sys.executable).resolve().parent
    planner = subprocess.Popen([sys.executable, "-c", script, str(sleeper), str(tmp_path)])
    try:
        assert wait_until(lambda: len(engines_of(planner.pid, home)) == 1)
        (engine,) = engines_of(planner.pid, home)
        assert wait_until(lambda: Path(f"/proc/{engine}/cmdline").read_bytes().split(b"\0")[1:2] == [b"config.txt"])
    finally:
        os.kill(planner.pid, signal.SIGKILL)
        planner.wait()
    assert wait_until(lambda: not Path(f"/proc/{engine}").exists() or engine not in engines_of(None, home))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo ' Error: \"spot\" is not a valid value'; exit 0", "not a valid value"),
        ("echo 'something odd'; exit 3", "code 3: something odd"),
        ("kill -SEGV $$", "code -11"),
        ("echo 'all is well'; exit 0", "no whole dose"),
    ],
)
def test_a_failing_engine_is_an_error_with_its_output(
    script: str, said: str, plan: Plan, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec], tmp_path: Path
) -> None:
    patient, _, beams = plan
    binary = tmp_path / "engine"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(EngineFailedError, match=said):
        make_engine(binary=binary).final_dose(patient, beams, make_spec(), QuietWatch())


def test_a_hanging_engine_is_stopped(tmp_path: Path) -> None:
    binary = tmp_path / "engine"
    binary.write_text("#!/bin/sh\nsleep 600\n")
    binary.chmod(0o755)
    build = Build("engine", "0" * 64, "any", binary, tmp_path, "0" * 64)
    with pytest.raises(EngineFailedError, match="did not end within"):
        run_engine(build, EngineRun(tmp_path, 0.3), threading.Event(), lambda share: None)


def test_nothing_is_left_on_the_disk(
    plan: Plan,
    make_engine: MakeEngine,
    make_spec: Callable[..., PlanSpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    patient, _, beams = plan
    make_engine().final_dose(patient, beams, make_spec(primaries_final=10_000), QuietWatch())
    assert not list(tmp_path.iterdir())


def test_progress_is_read_from_what_the_engine_prints() -> None:
    assert progress_of("") == 0.0
    assert progress_of("\nSimulation of beamlet 1/4 \nMC\nSimulation of beamlet 3/4 \n") == 0.5
    assert progress_of(" 10.0 % \n 50.0 % (stat uncertainty: 3.45 %) \n") == 0.5


def test_progress_rises_to_the_end(plan: Plan, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec]) -> None:
    patient, placement, _ = plan
    watch = QuietWatch()
    make_engine().beamlets(patient, placement, np.arange(1000), make_spec(), watch)
    shares = [share for share, _ in watch.reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
