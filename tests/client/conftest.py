"""A real gateway on a real bus, as programs and the command line use it; its stages are played."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from radiarch_common.bus import Bus, connect
from radiarch_common.objects import FolderStore
from radiarch_common.settings import FolderPacsSettings, Settings
from radiarch_common.topology import bootstrap
from radiarch_gateway.app import create_app
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.gateway import StageHand, served
from radiarch_testkit.offer import small_catalogue
from structlog.testing import capture_logs


@pytest.fixture
def settings(nats_server: EmbeddedNats, tmp_path: Path) -> Settings:
    """A gateway of a folder, that asks nobody who they are."""
    return Settings(
        nats_url=nats_server.url,
        ack_wait_s=5.0,
        database_url=f"sqlite:///{tmp_path / 'radiarch.db'}",
        objects_folder=tmp_path / "objects",
        s3=None,
        pacs={"main": FolderPacsSettings(folder=tmp_path / "pacs")},
        authentication="none",
    )


@pytest.fixture
def objects(settings: Settings) -> FolderStore:
    """The object store of the gateway."""
    return FolderStore(settings.objects_folder)


@pytest.fixture
async def stage_hand(settings: Settings) -> AsyncIterator[StageHand]:
    """The bus with its topology and a planner's catalogue, and a hand on it."""
    client = await connect(settings, "test")
    await bootstrap(client, settings)
    hand = StageHand(Bus(client))
    await hand.offer(small_catalogue())
    yield hand
    await client.close()


@pytest.fixture
def gateway(settings: Settings, stage_hand: StageHand) -> Iterator[str]:
    """The address of a real gateway."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # Its log would go to the standard output of the commands under test.
    with capture_logs(), served(create_app(settings)) as url:
        yield url
