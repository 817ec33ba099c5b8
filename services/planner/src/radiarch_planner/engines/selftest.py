"""A build of the engine is tested, and timed, before its first use on a machine; what passed is kept beside it.

The wheel's builds are held against tables of stopping power. An operator's own build is, besides, held against the
build of the wheel that this CPU would get.
"""

import hashlib
import logging
import platform
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from radiarch_common.base import Model
from radiarch_common.errors import UnavailableError
from radiarch_common.files import write_whole
from radiarch_common.settings import Settings
from radiarch_common.watch import Watch

from radiarch_planner.engines.agreement import Findings, against_another_build, against_tables, same_bits
from radiarch_planner.engines.build import Build, Cpu, prepare_build
from radiarch_planner.engines.cost import EngineCost, line_through
from radiarch_planner.engines.folders import own_folder
from radiarch_planner.engines.processes import EngineFailedError
from radiarch_planner.engines.protons import range_in_water_mm
from radiarch_planner.engines.water_phantom import ENERGIES_MEV, SPOT_PROTONS, SPOTS, Hit, Shot, shoot, voxels

log = logging.getLogger(__name__)

LAYOUT = 2
_WHEELS_RUN_ON = ("x86_64", "AMD64")
_LOW, _HIGH = (Shot(energy_mev=energy) for energy in ENERGIES_MEV)
_WITHOUT_NUCLEI = replace(_LOW, nuclear=False)
_FEW, _SMALL, _WIDE = (
    Shot(protons=SPOT_PROTONS, spots=spots, wide=wide)
    for spots, wide in ((2, False), (SPOTS + 2, False), (SPOTS + 2, True))
)
_OTHER_SEEDS = (21, 22)


class PassedBuild(Model):
    """A build that passed on one kind of CPU, what it was tested for, and what it costs there."""

    layout: int
    build: str
    sha256: str
    cpu: str
    tested: datetime
    findings: tuple[str, ...]
    cost: EngineCost


class SelfTestFailedError(UnavailableError):
    """The engine of this planner may not be used: jobs wait for one that may."""

    def __init__(self, build: Build, failures: str) -> None:
        super().__init__(
            "a dose engine that passes its self-test",
            f"{build.name} (SHA-256 {build.sha256[:16]}) on {build.cpu_vendor}: {failures} "
            "Take another build of MCsquare for this CPU with RADIARCH_MCSQUARE_BINARY, or unset it to use the one "
            "that comes with OpenTPS; the test is made again at the next attempt.",
        )


def examined_build(build: Build, settings: Settings, watch: Watch) -> PassedBuild:
    """What a build passed on this kind of CPU: as kept, or else tested now, which takes some seconds.

    Several planners may do so at once; the last one's file stays. A failure is not kept.

    Raises
    ------
    SelfTestFailedError
        If the build does not run here, or its dose is not what it must be.
    StoppedError
        If asked to stop.
    """
    cpu = Cpu.here()
    path = kept_at(build.binary.parent, cpu)
    kept = read_kept(path)
    if kept is not None:
        return kept
    watch.progress(0.0, "testing the dose engine on a small water phantom")
    with watch.timed("engine self-test"), own_folder(settings.work_folder) as folder:
        try:
            findings, cost = _examine(build, settings, folder, watch)
        except EngineFailedError as error:
            raise SelfTestFailedError(build, f"it does not run here. {error}") from error
    if findings.failed:
        raise SelfTestFailedError(build, " ".join(findings.failed))
    passed = PassedBuild(
        layout=LAYOUT, build=build.name, sha256=build.sha256, cpu=cpu.model, tested=datetime.now(UTC),
        findings=tuple(findings.passed), cost=cost,
    )  # fmt: skip
    write_whole(path, passed.model_dump_json(indent=1).encode())
    log.info("engine tested", extra={"build": build.name, "sha256": build.sha256, "kept_at": str(path)})
    return passed


def kept_at(home: Path, cpu: Cpu) -> Path:
    """The file that says that the build in the folder ``home`` passed on a kind of CPU; it lies beside."""
    text = " ".join([cpu.vendor, cpu.model, *sorted(cpu.flags)])
    return home.with_name(f"{home.name}.{hashlib.sha256(text.encode()).hexdigest()[:12]}.json")


def read_kept(path: Path) -> PassedBuild | None:
    """What such a file says; ``None`` when there is none, or one of another version of this test."""
    try:
        kept = PassedBuild.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return kept if kept.layout == LAYOUT else None


def _examine(build: Build, settings: Settings, folder: Path, watch: Watch) -> tuple[Findings, EngineCost]:
    def shot(what: Shot, name: str, engine: Build = build) -> Hit:
        return shoot(engine, what, folder / name, watch)

    low, high, again = shot(_LOW, "low"), shot(_HIGH, "high"), shot(_LOW, "again")
    findings = Findings()
    same_bits(low.dose, again.dose, findings)
    against_tables((low.dose, high.dose), shot(_WITHOUT_NUCLEI, "without-nuclei").dose, findings)
    if settings.mcsquare_binary is not None and not findings.failed:
        _compare(build, settings, (low, high), folder, watch, findings)
    few, small, wide = (shot(what, name) for what, name in ((_FEW, "few"), (_SMALL, "small"), (_WIDE, "wide")))
    return findings, _cost((min(low.seconds, again.seconds), high.seconds), few.seconds, small.seconds, wide.seconds)


def _compare(
    build: Build, settings: Settings, own: tuple[Hit, Hit], folder: Path, watch: Watch, findings: Findings
) -> None:
    """Hold an operator's own build against the wheel's."""
    if platform.machine() not in _WHEELS_RUN_ON:
        findings.say(True, f"not compared: OpenTPS has no build for {platform.machine()}")
        return
    wheels = prepare_build(settings.model_copy(update={"mcsquare_binary": None}))
    if wheels.sha256 == build.sha256:
        findings.say(True, f"the same file as {wheels.name} of OpenTPS")
        return
    for energy, hit in zip(ENERGIES_MEV, own, strict=True):
        first, second = (
            shoot(wheels, Shot(energy_mev=energy, seed=seed), folder / f"wheel-{energy:.0f}-{seed}", watch).dose
            for seed in _OTHER_SEEDS
        )
        against_another_build(energy, hit.dose, (first, second), wheels.name, findings)


def _cost(protons_s: tuple[float, float], few_s: float, small_s: float, wide_s: float) -> EngineCost:
    """Cost from the wall times of the shots; two spots more or less do not count beside a start."""
    ranges = range_in_water_mm(np.array(ENERGIES_MEV))
    each = [max(seconds - few_s, 0.0) / _LOW.protons for seconds in protons_s]
    proton_s, proton_mm_s = line_through((float(ranges[0]), each[0]), (float(ranges[1]), each[1]))
    in_spot_s = SPOT_PROTONS * each[0]
    spots = [max(seconds - few_s, 0.0) / SPOTS - in_spot_s for seconds in (small_s, wide_s)]
    spot_s, spot_voxel_s = line_through((voxels(wide=False), spots[0]), (voxels(wide=True), spots[1]))
    return EngineCost(
        start_s=few_s, proton_s=proton_s, proton_mm_s=proton_mm_s, spot_s=spot_s, spot_voxel_s=spot_voxel_s
    )
