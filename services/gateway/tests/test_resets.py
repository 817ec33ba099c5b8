"""An Orthanc that goes down closes connections at every moment: that is told as an archive that is away."""

import httpx
import pytest
from radiarch_common.errors import UnavailableError
from radiarch_common.settings import WebPacsSettings
from radiarch_gateway.hooks.orthanc import Orthanc

NOWHERE = "http://127.0.0.1:9"


class Breaking(httpx.AsyncBaseTransport):
    """Breaks as real connections were seen to."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError(""),
        httpx.RemoteProtocolError(""),
        # A connection that is reset while it is made, asked below the HTTP client for a socket that it no longer has.
        AttributeError("'NoneType' object has no attribute 'getpeername'"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_connection_that_breaks_is_no_end_of_the_watch(error: Exception) -> None:
    """Fails when it is raised as it is: the watch would end, and the gateway with it."""
    orthanc = Orthanc("main", NOWHERE, WebPacsSettings(url=NOWHERE), transport=Breaking(error))
    with pytest.raises(UnavailableError, match="Orthanc of PACS 'main'"):
        await orthanc.last_change()
    await orthanc.close()
