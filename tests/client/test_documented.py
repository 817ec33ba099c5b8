"""The examples of docs/client.md, run as they stand."""

import asyncio
import re
from pathlib import Path

import pytest
from radiarch_client import AsyncRadiarch, PlanSummary
from radiarch_common.objects import FolderStore
from radiarch_testkit.finished import finish
from radiarch_testkit.gateway import StageHand, until

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_there_are_two_and_they_are_whole() -> None:
    """Fails when an example is added that the tests below do not run."""
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("example", EXAMPLES, ids=["threads", "event loop"])
async def test_an_example_runs(
    example: str,
    gateway: str,
    stage_hand: StageHand,
    objects: FolderStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fails when what a reader copies does not work; only address and catalogue names are the test's."""
    monkeypatch.chdir(tmp_path)
    code = example.replace("http://127.0.0.1:9042", gateway)
    code = code.replace("generic-pbs", "room-1").replace('"water"', '"scanner-1"')
    compiled = compile(code, str(DOCUMENT), "exec")
    running = asyncio.create_task(asyncio.to_thread(exec, compiled, {"__name__": "example"}))
    async with AsyncRadiarch(gateway) as radiarch:

        async def plans() -> list[PlanSummary]:
            assert not running.done() or await running, "the example ended without a plan"
            return [plan async for plan in radiarch.plans()]

        found = await until(plans, bool)
    await finish(stage_hand, objects, found[0].id)
    await running
    assert {path.name for path in (tmp_path / "plan").iterdir()} == {"RTDOSE.dcm", "dvh.json", "plan.json"}
    assert "exporter" in capsys.readouterr().out
