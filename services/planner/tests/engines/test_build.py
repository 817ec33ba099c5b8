"""The private engine folder, and OpenTPS kept from changing the process that imports it."""

import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from radiarch_common.settings import Settings
from radiarch_planner.engines.build import Cpu, build_name, prepare_build
from radiarch_planner.engines.processes import EngineFailedError
from radiarch_planner.engines.sparse import read_columns, row_lookup
from radiarch_planner.engines.wheel import mcsquare_folder


@pytest.mark.parametrize(
    ("vendor", "flags", "name"),
    [
        ("AuthenticAMD", {"avx512f", "avx2", "avx", "sse4_2"}, "MCsquare_linux"),
        ("GenuineIntel", {"avx512f", "avx2", "avx", "sse4_2"}, "MCsquare_linux_avx512"),
        ("GenuineIntel", {"avx2", "avx", "sse4_2"}, "MCsquare_linux_avx2"),
        ("GenuineIntel", {"avx", "sse4_2"}, "MCsquare_linux_avx"),
        ("GenuineIntel", {"sse4_2"}, "MCsquare_linux_sse4"),
        ("GenuineIntel", {"sse2"}, "MCsquare_linux"),
    ],
)
def test_the_build_follows_vendor_and_flags(vendor: str, flags: set[str], name: str) -> None:
    assert build_name(Cpu(vendor, frozenset(flags))) == name
    assert (mcsquare_folder() / name).is_file()


def test_many_planners_at_once_make_one_folder(tmp_path: Path) -> None:
    source = mcsquare_folder() / build_name(Cpu.here())
    mode = source.stat().st_mode
    settings = Settings(engine_folder=tmp_path / "engines")
    with ThreadPoolExecutor(4) as threads:
        builds = list(threads.map(prepare_build, [settings] * 4))
    assert len(set(builds)) == 1
    assert len(list((tmp_path / "engines").iterdir())) == 1
    assert os.access(builds[0].binary, os.X_OK)
    assert builds[0].sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert source.stat().st_mode == mode  # the installed wheel is not ours to change


def test_a_changed_engine_folder_is_not_used(tmp_path: Path) -> None:
    settings = Settings(engine_folder=tmp_path)
    build = prepare_build(settings)
    with (build.materials / "Water" / "PSTAR_Stop_Pow.dat").open("a") as table:
        table.write("300 1.0\n")
    with pytest.raises(RuntimeError, match="is not what was put there"):
        prepare_build(settings)


def test_an_operators_own_binary_is_used_and_named(tmp_path: Path) -> None:
    own = tmp_path / "MCsquare_own"
    own.write_bytes(b"#!/bin/sh\n")
    build = prepare_build(Settings(engine_folder=tmp_path / "engines", mcsquare_binary=own))
    assert build.name == "MCsquare_own"
    assert build.sha256 == hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    with pytest.raises(FileNotFoundError, match="RADIARCH_MCSQUARE_BINARY"):
        prepare_build(Settings(engine_folder=tmp_path, mcsquare_binary=tmp_path / "nothing"))


def test_opentps_leaves_logging_home_and_stdout_alone(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import logging, os, sys, warnings
        warnings.simplefilter("error")
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        other = logging.getLogger("somebody.else")
        before = (os.environ["HOME"], logging.getLogger().level)
        import radiarch_planner.engines.opentps_adapter
        assert logging.getLogger().handlers == [handler], logging.getLogger().handlers
        assert not other.disabled
        assert (os.environ["HOME"], logging.getLogger().level) == before
        """
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "openTPS_workspace").exists()
    assert not (tmp_path / ".config" / "openTPS").exists()


def sparse_file(path: Path, spots: list[tuple[float, float, dict[int, list[float]]]]) -> Path:
    words: list[np.ndarray] = []  # pyright: ignore[reportMissingTypeArgument]
    for x, y, runs in spots:
        count = sum(len(values) for values in runs.values())
        words += [np.array([count, 0, 0], np.uint32), np.array([x, y], np.float32).view(np.uint32)]
        for first, values in runs.items():
            words += [np.array([len(values), first], np.uint32), np.array(values, np.float32).view(np.uint32)]
    np.concatenate(words).tofile(path)
    return path


def test_beamlets_land_in_the_right_rows(tmp_path: Path) -> None:
    # Voxel (z, y, x) of the patient is the engine's (nx-1-x) + nx (ny-1-y) + nx ny z.
    shape = (2, 3, 4)
    _, ny, nx = shape
    rows = np.arange(24, dtype=np.int32).reshape(shape)
    engine_index = {(z, y, x): (nx - 1 - x) + nx * (ny - 1 - y) + nx * ny * z for z, y, x in np.ndindex(*shape)}
    path = sparse_file(
        tmp_path / "beamlets.bin",
        [
            (1.0, 2.0, {engine_index[1, 2, 3]: [0.5], engine_index[0, 1, 2]: [0.25]}),
            (3.0, 4.0, {}),
            (5.0, 6.0, {0: [1, 2]}),
        ],
    )
    xy = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    columns = read_columns(path, row_lookup(rows), xy)
    assert columns.indptr.tolist() == [0, 2, 2, 4]
    assert dict(zip(columns.indices[:2].tolist(), columns.values[:2].tolist(), strict=True)) == {
        int(rows[1, 2, 3]): 0.5,
        int(rows[0, 1, 2]): 0.25,
    }
    # Voxels that nobody asked for are left out.
    few = np.where(rows == rows[1, 2, 3], 0, -1).astype(np.int32)
    assert read_columns(path, row_lookup(few), xy).indptr.tolist() == [0, 1, 1, 1]
    with pytest.raises(EngineFailedError, match="not those"):
        read_columns(path, row_lookup(rows), xy[::-1].copy())


@pytest.mark.parametrize("cut", [1, 3, 8])
def test_beamlets_cut_short_are_an_error(cut: int, tmp_path: Path) -> None:
    path = sparse_file(tmp_path / "beamlets.bin", [(1.0, 2.0, {0: [0.5, 1.0]}), (3.0, 4.0, {3: [0.5]})])
    words = np.fromfile(path, np.uint32)
    words[:-cut].tofile(path)
    rows = np.arange(8, dtype=np.int32).reshape(2, 2, 2)
    with pytest.raises(EngineFailedError, match="damaged"):
        read_columns(path, row_lookup(rows), np.array([[1.0, 2.0], [3.0, 4.0]]))
