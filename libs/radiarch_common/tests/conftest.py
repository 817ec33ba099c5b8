"""A line of one toy stage on a real nats-server."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from radiarch_common.bus import Bus, connect
from radiarch_common.settings import Settings
from radiarch_common.topology import bootstrap
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.line import Line

TOY = Path(__file__).with_name("toy_stage.py")


@pytest.fixture
async def line(request: pytest.FixtureRequest, nats_server: EmbeddedNats, tmp_path: Path) -> AsyncIterator[Line]:
    """A fresh broker and no worker yet; ``ack_wait`` is 5 s, or what ``@pytest.mark.parametrize`` asks."""
    settings = Settings(nats_url=nats_server.url, ack_wait_s=float(getattr(request, "param", 5.0)))
    client = await connect(settings, "test")
    await bootstrap(client, settings)
    line = Line(Bus(client), settings, tmp_path, TOY)
    yield line
    for worker in line.workers:
        worker.send_signal(signal.SIGCONT)
        worker.kill()
        worker.wait()
    await client.close()
