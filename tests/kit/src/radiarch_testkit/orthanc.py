"""A real Orthanc for the tests: this machine's, else one in a container."""

from collections.abc import Iterator

import pytest

from radiarch_testkit.containers import ContainerOrthanc, daemon_answers, prefers_containers
from radiarch_testkit.orthanc_server import OrthancServer, find_orthanc
from radiarch_testkit.require import require


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """A running Orthanc; a test that stops or kills it starts it again."""
    here = find_orthanc() is not None and not prefers_containers()
    require(
        here or daemon_answers(),
        "no Orthanc with DICOMweb (Debian: orthanc, orthanc-dicomweb), and no Docker daemon to run one",
    )
    kind = OrthancServer if here else ContainerOrthanc
    server = kind(tmp_path_factory.mktemp("orthanc"))
    try:
        server.start()
        yield server
    finally:
        server.remove()
