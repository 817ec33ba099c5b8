"""A clone resolves to the versions that were tested: every package has a pin, and the tool writes only pins."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from radiarch_testkit.require import require

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pin", ROOT / "tools" / "pin.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_resolved_package_is_pinned() -> None:
    """Fails when a dependency was added or changed without its pin."""
    require(shutil.which("uv") is not None, "uv is not on the PATH")
    seen = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "pin.py"), "--check"],
        env={k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.returncode == 0, seen.stderr


def test_pins_of_an_export(tool: ModuleType) -> None:
    """One version: pinned everywhere. Two: each under its marker. Sent away by an override: no pin."""
    export = (
        "zeta==1.0 ; sys_platform != 'win32'\n"
        "alpha==2.0 ; python_full_version < '3.11.4'\n"
        "alpha==3.0 ; python_full_version >= '3.11.4'\n"
        "vtk==9.7.2 ; sys_platform == 'never'\n"
        "mid==0.1\n"
    )
    assert tool.pins_of(export) == [
        "alpha==2.0 ; python_full_version < '3.11.4'",
        "alpha==3.0 ; python_full_version >= '3.11.4'",
        "mid==0.1",
        "zeta==1.0",
    ]


def test_the_rest_of_the_file_stays(tool: ModuleType) -> None:
    """Fails when writing pins loses a comment or a section, or doubles the list."""
    text = (ROOT / "pyproject.toml").read_text()
    once = tool.with_pins(text, ["a==1"])
    assert tool.with_pins(once, ["a==1"]) == once
    told, now = tomllib.loads(text), tomllib.loads(once)
    assert now["tool"]["uv"].pop("constraint-dependencies") == ["a==1"]
    del told["tool"]["uv"]["constraint-dependencies"]
    assert now == told
    with pytest.raises(ValueError, match="once each"):
        tool.with_pins(text + tool.BEGIN, [])


def test_no_host_is_named() -> None:
    """Constraints hold for any registry; a host in them would not."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    assert pins
    assert not [pin for pin in pins if "://" in pin or "@" in pin]
