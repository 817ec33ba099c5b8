"""A planner that is killed leaves gigabytes behind; the next one removes them, and nobody else's."""

import subprocess
import sys
from pathlib import Path

from radiarch_planner.engines.folders import PREFIX, own_folder, sweep

_OWNER = """
import sys, time
from pathlib import Path
from radiarch_planner.engines.folders import own_folder
with own_folder(Path(sys.argv[1])) as folder:
    (folder / "CT.raw").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_goes_with_its_work(tmp_path: Path) -> None:
    with own_folder(tmp_path / "work") as folder:
        (folder / "beam-1").mkdir()
        assert folder.is_absolute()
    assert list((tmp_path / "work").iterdir()) == []


def test_only_the_folders_of_the_dead_are_swept(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().strip())
        assert left.name.startswith(PREFIX)
        with own_folder(tmp_path) as ours:
            assert sweep(tmp_path) == 0
            assert left.is_dir()
            owner.kill()
            owner.wait()
            assert left.is_dir()
            assert sweep(tmp_path) == 1
            assert not left.exists()
            assert ours.is_dir()
    finally:
        owner.kill()
        owner.communicate()


def test_nothing_else_is_swept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / f"{PREFIX}list.txt").write_text("mine")
    assert sweep(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2
    assert sweep(tmp_path / "nowhere") == 0
