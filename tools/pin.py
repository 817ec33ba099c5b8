"""Pins: the exact version of every package of the workspace, as constraints in the root ``pyproject.toml``.

The lock file of uv names registry hosts and is left out of git; these constraints take its place, so that every
clone resolves to the same versions from whatever registry it uses.

    uv run python tools/pin.py             pin what is resolved now; a new dependency gets its pin
    uv run python tools/pin.py --upgrade   drop the pins, resolve to the newest that fits, pin that
    uv run python tools/pin.py --check     change nothing; fail when pins and resolution differ
"""

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path

NEVER = "sys_platform == 'never'"
BEGIN, END = "    # pins begin: written by tools/pin.py\n", "    # pins end\n"


def pins_of(export: str) -> list[str]:
    """Requirements that allow exactly what was resolved, sorted, from the text of ``uv export``.

    A package resolved once is pinned for every platform; one resolved twice keeps its markers. What an
    override has sent away (``sys_platform == 'never'``) is nowhere installed and gets no pin.
    """
    lines = [line.partition(" ; ") for line in export.splitlines() if line.strip()]
    wanted = [(pin, marker) for pin, _, marker in lines if marker != NEVER]
    times = Counter(pin.split("==")[0] for pin, _ in wanted)
    return sorted(f"{pin} ; {marker}" if times[pin.split("==")[0]] > 1 else pin for pin, marker in wanted)


def with_pins(pyproject: str, pins: list[str]) -> str:
    """The text of ``pyproject.toml`` with ``pins`` between the two marks, all else as it was."""
    if pyproject.count(BEGIN) != 1 or pyproject.count(END) != 1:
        raise ValueError(f"pyproject.toml must hold the lines {BEGIN.strip()!r} and {END.strip()!r} once each")
    head, rest = pyproject.split(BEGIN)
    tail = rest.split(END)[1]
    lines = "".join(f'    "{pin}",\n' for pin in pins)
    return head + BEGIN + lines + END + tail


def resolve(root: Path, *options: str) -> str:
    """What the workspace resolves to, as ``name==version ; marker`` lines; ``uv.lock`` is brought up to date."""
    command = ["uv", "export", "--quiet", "--all-packages", "--all-groups", "--no-emit-workspace"]
    plain = ["--no-hashes", "--no-annotate", "--no-header"]
    return subprocess.run(  # noqa: S603 - fixed words, and uv made this environment
        [*command, *plain, *options], cwd=root, check=True, capture_output=True, text=True
    ).stdout


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pins; 0 when they hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--upgrade", action="store_true")
    mode.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    asked = parser.parse_args(arguments)
    file: Path = asked.root / "pyproject.toml"
    before = file.read_text()
    if asked.upgrade:
        file.write_text(with_pins(before, []))
    try:
        pins = pins_of(resolve(asked.root, *(["--upgrade"] if asked.upgrade else [])))
    except subprocess.CalledProcessError as error:
        file.write_text(before)
        sys.stderr.write(str(error.stderr))
        return 1
    after = with_pins(file.read_text(), pins)
    if asked.check and after != file.read_text():
        sys.stderr.write("The pins in pyproject.toml are not what is resolved: run 'uv run python tools/pin.py'.\n")
        return 1
    if not asked.check:
        file.write_text(after)
    sys.stdout.write(f"{len(pins)} packages pinned\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
