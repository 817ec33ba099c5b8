"""Both clients, on a server that is played."""

import pytest
from radiarch_testkit.played import Played


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest) -> Played:
    """Either client: each test that asks for it runs with both."""
    return Played(request.param)
