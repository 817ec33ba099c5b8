"""The installation is read and never opened for writing: planners run where it belongs to somebody else."""

import os
import sys
from pathlib import Path

import opentps.core
import radiarch_planner
from radiarch_planner.engines.opentps_adapter import read_beam_data
from radiarch_planner.machine import read_machine

MACHINE = Path(radiarch_planner.__file__).parent / "machines" / "generic-pbs"
INSTALLED = str(Path(opentps.core.__file__).parent)

_opened: list[str] = []
_listening = False


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if not _listening or event != "open":
        return
    path, _, flags = arguments
    if isinstance(path, str) and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
        _opened.append(path)


sys.addaudithook(_hear)


def test_beam_data_with_range_shifters_are_read_without_opening_the_installation_for_writing() -> None:
    """Fails when OpenTPS makes a range shifter, which opens its list of materials for writing."""
    global _listening  # noqa: PLW0603 - an audit hook cannot be taken back
    machine = read_machine(MACHINE)
    assert "RS_ID" in machine.beam_data.read_text()
    _listening = True
    try:
        read_beam_data(machine.beam_data, 100.0, 225.0)
    finally:
        _listening = False
    assert not [path for path in _opened if path.startswith(INSTALLED)]
