"""The engine's private folder: made once, shared read-only by every process, never changed afterwards.

The wheel's files have no execute bit, and pip's or uv's folder is not ours to change, so binary and materials
are copied. The folder's name holds the digest of its content.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from radiarch_common.settings import Settings

from radiarch_planner.engines.wheel import mcsquare_folder

_BY_FLAG = (("avx512f", "avx512"), ("avx2", "avx2"), ("avx", "avx"), ("sse4_2", "sse4"))
"""Intel builds, best first, by the CPU flag that each needs."""


@dataclass(frozen=True)
class Build:
    """One build of the engine, ready to run: ``binary`` is executable, ``materials`` its material database.

    ``sha256`` is the binary's, ``content_sha256`` that of binary and materials.
    """

    name: str
    sha256: str
    cpu_vendor: str
    binary: Path
    materials: Path
    content_sha256: str


@dataclass(frozen=True)
class Cpu:
    """Vendor and model as the kernel names them (``GenuineIntel``, ``AuthenticAMD``, ...), instruction set flags."""

    vendor: str
    flags: frozenset[str]
    model: str = ""

    @classmethod
    def here(cls) -> "Cpu":
        """The CPU of this machine."""
        try:
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        except OSError:
            return cls(platform.processor() or platform.machine(), frozenset())
        lines = [line.partition(":") for line in text.splitlines()]
        values = {key.strip(): value.strip() for key, _, value in reversed(lines)}
        flags = frozenset(values.get("flags", "").split())
        return cls(values.get("vendor_id", platform.machine()), flags, values.get("model name", ""))


def build_name(cpu: Cpu) -> str:
    """Which of the wheel's builds runs here; all but the generic one refuse CPUs that are not Intel's."""
    if cpu.vendor == "GenuineIntel":
        for flag, suffix in _BY_FLAG:
            if flag in cpu.flags:
                return f"MCsquare_linux_{suffix}"
    return "MCsquare_linux"


def prepare_build(settings: Settings) -> Build:
    """The engine that these settings name, copied to ``settings.engine_folder`` unless it is there already."""
    source = _source(settings)
    materials = mcsquare_folder() / "Materials"
    binary_sha256 = _file_sha256(source)
    content = _digest(materials, binary_sha256)
    folder = _folder(settings, content)
    if not folder.is_dir():
        _make(folder, source, materials)
    if _digest(folder / "Materials", _file_sha256(folder / "MCsquare")) != content:
        raise RuntimeError(f"The engine in {folder} is not what was put there. Remove that folder.")
    return Build(source.name, binary_sha256, Cpu.here().vendor, folder / "MCsquare", folder / "Materials", content)


def build_folder(settings: Settings) -> Path:
    """Where ``prepare_build`` puts the engine that these settings name, whether it was there already or not."""
    return _folder(settings, _digest(mcsquare_folder() / "Materials", _file_sha256(_source(settings))))


def _source(settings: Settings) -> Path:
    source = settings.mcsquare_binary or mcsquare_folder() / build_name(Cpu.here())
    if not source.is_file():
        raise FileNotFoundError(f"There is no MCsquare binary at {source}; see RADIARCH_MCSQUARE_BINARY.")
    return source


def _folder(settings: Settings, content: str) -> Path:
    return settings.engine_folder.expanduser().absolute() / f"mcsquare-{content[:20]}"


def _make(folder: Path, binary: Path, materials: Path) -> None:
    """Copy aside and rename: of several planners that start at once, one wins and all find the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        shutil.copyfile(binary, aside / "MCsquare")
        shutil.copytree(
            materials, aside / "Materials", copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("*.py*", "__*")
        )
        for path in aside.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.name == "MCsquare" else 0o644)
        aside.chmod(0o755)
        try:
            os.rename(aside, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(materials: Path, binary_sha256: str) -> str:
    whole = hashlib.sha256(binary_sha256.encode())
    for path in sorted(materials.rglob("*.dat")):
        whole.update(f"{path.relative_to(materials).as_posix()} {_file_sha256(path)}\n".encode())
    return whole.hexdigest()
