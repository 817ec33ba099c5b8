"""A real nats-server for each test that asks: it starts in milliseconds, and shares nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from radiarch_standalone.embedded_nats import EmbeddedNats


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A running nats-server with JetStream; a test may stop, kill and start it."""
    server = EmbeddedNats(tmp_path / "nats")
    server.start()
    yield server
    server.stop()
