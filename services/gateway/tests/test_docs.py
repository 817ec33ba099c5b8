"""The API's documentation works where no content host is reached: in a hospital."""

import re

import httpx
import pytest
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_every_script_and_style_comes_from_the_gateway_itself(page: str) -> None:
    app = create_app(Settings(database_url="sqlite://", nats_url="nats://127.0.0.1:9"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        shown = (await client.get(page)).text
        used = re.findall(r"""(?:src|href)=["']([^"']+)["']""", shown)
        assert used
        for address in used:
            assert address.startswith("/"), f"{page} loads {address} from elsewhere"
            assert (await client.get(address)).is_success
