"""What a stage's work says of itself while it runs."""

from pathlib import Path

from radiarch_common.objects import FolderStore
from radiarch_common.run import Run
from radiarch_common.settings import Settings
from radiarch_testkit.jobs import import_job


def test_how_far_it_is_never_falls(tmp_path: Path) -> None:
    """A dose that is simulated again begins anew; a viewer must not see the bar go back."""
    run = Run("planner", import_job(), 1, 1, FolderStore(tmp_path), {}, Settings())
    seen: list[tuple[float, str]] = []
    for fraction, message in ((0.2, "a"), (0.9, "b"), (0.5, "again"), (0.95, "c"), (1.5, "d")):
        run.progress(fraction, message)
        said = run.take_progress()
        assert said is not None
        seen.append((said.progress, said.message))
    assert seen == [(0.2, "a"), (0.9, "b"), (0.9, "again"), (0.95, "c"), (1.0, "d")]
