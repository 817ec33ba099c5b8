"""Hints: who may give one, what a hint does, and the two senders of ``deploy/orthanc`` in a real Orthanc."""

import time
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from radiarch_common.settings import Settings, WebPacsSettings
from radiarch_gateway.app import create_app
from radiarch_gateway.hooks.signature import sign
from radiarch_standalone.ports import free_port
from radiarch_testkit.gateway import HANG_S, served, until
from radiarch_testkit.orthanc_server import OrthancServer, find_orthanc, find_plugin
from radiarch_testkit.require import require
from radiarch_testkit.synthetic_study import SyntheticStudy

SECRET, TOKEN = "s" * 32, "t" * 32
NEVER_S = 3600.0
SCRIPTS = Path(__file__).parents[3] / "deploy" / "orthanc"
HOOK = "/api/v1/hooks/orthanc/main"


def watched_pacs(url: str, secret: str | None = SECRET, token: str | None = TOKEN) -> WebPacsSettings:
    """A PACS that is not looked at without a hint."""
    return WebPacsSettings(
        url=f"{url}/dicom-web",
        orthanc_url=url,
        look_every_s=NEVER_S,
        quiet_s=0.0,
        hook_secret=SecretStr(secret) if secret else None,
        hook_token=SecretStr(token) if token else None,
    )


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nobody answers at these PACS; hints are taken all the same."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    pacs = {
        "main": watched_pacs(nowhere),
        "unsigned": watched_pacs(nowhere, secret=None, token=None),
        "folder": settings.pacs["main"],
    }
    return settings.model_copy(update={"pacs": pacs})


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as found:
            yield found


def file_of(study: SyntheticStudy) -> bytes:
    file = BytesIO()
    study.structure_set.save_as(file, enforce_file_format=True)
    return file.getvalue()


def signed(body: bytes, *, ago_s: float = 0.0, secret: str = SECRET) -> dict[str, str]:
    timestamp = str(int(time.time() - ago_s))
    signature = sign(secret.encode(), timestamp, body)
    return {"X-Radiarch-Timestamp": timestamp, "X-Radiarch-Signature": signature}


async def test_a_good_hint_wakes_and_the_same_again_does_nothing(client: httpx.AsyncClient) -> None:
    """A replay is answered as the first was, so that a sender whose answer was lost is content; it wakes nobody."""
    headers = signed(b"{}")
    first = await client.post(HOOK, content=b"{}", headers=headers)
    assert (first.status_code, first.json()) == (202, {"woken": True})
    again = await client.post(HOOK, content=b"{}", headers=headers)
    assert (again.status_code, again.json()) == (202, {"woken": False})


async def test_whoever_does_not_know_the_secret_wakes_nobody(client: httpx.AsyncClient) -> None:
    """Fails when a hint is taken from anybody else, of another body, too old, from the future, or for another PACS."""
    good = signed(b"{}")
    refused: list[tuple[str, bytes, dict[str, str]]] = [
        (HOOK, b"{}", {}),
        (HOOK, b"{}", signed(b"{}", secret="x" * 32)),
        (HOOK, b"{ }", good),
        (HOOK, b"{}", good | {"X-Radiarch-Timestamp": str(int(good["X-Radiarch-Timestamp"]) - 1)}),
        (HOOK, b"{}", signed(b"{}", ago_s=310)),
        (HOOK, b"{}", signed(b"{}", ago_s=-310)),
        (HOOK, b"{}", {"X-Radiarch-Token": SECRET}),
        (HOOK.replace("main", "unsigned"), b"{}", good),
        (HOOK.replace("main", "unsigned"), b"{}", {"X-Radiarch-Token": TOKEN}),
        (HOOK.replace("main", "folder"), b"{}", good),
        (HOOK.replace("main", "nowhere"), b"{}", good),
    ]
    for path, body, headers in refused:
        assert (await client.post(path, content=body, headers=headers)).status_code == 401, (path, headers)
    assert (await client.post(HOOK, content=b"x" * 70_000, headers=good)).status_code == 413
    token = await client.post(HOOK, content=b"{}", headers={"X-Radiarch-Token": TOKEN})
    assert (token.status_code, token.json()) == (202, {"woken": True})


async def test_a_pacs_that_is_down_is_told(client: httpx.AsyncClient) -> None:
    """Fails when a look that failed looks like one that found nothing."""

    async def watches() -> dict[str, dict[str, Any]]:
        found = (await client.get("/api/v1/hooks")).raise_for_status().json()
        return {watch["pacs"]: watch for watch in found["pacs"]}

    seen = await until(watches, lambda found: all(watch["failures"] for watch in found.values()))
    assert set(seen) == {"main", "unsigned"}
    assert seen["main"]["last_error"] == "Orthanc of PACS 'main' is not reachable: ConnectError"
    assert seen["main"]["looked_at"] is None


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(params=["lua", "python"])
def telling(request: pytest.FixtureRequest, tmp_path: Path, port: int) -> Iterator[OrthancServer]:
    """An Orthanc that tells a gateway at this port, which may not run yet."""
    require(find_orthanc() is not None, "no Orthanc with DICOMweb (Debian: orthanc, orthanc-dicomweb)")
    env = {"RADIARCH_HOOK_URL": f"http://127.0.0.1:{port}{HOOK}"}
    more: dict[str, object] = {"AuthenticationEnabled": False, "HttpTimeout": 5}
    if request.param == "lua":
        env["RADIARCH_HOOK_TOKEN"] = TOKEN
        more["LuaScripts"] = [str(SCRIPTS / "radiarch-hook.lua")]
    else:
        plugin = find_plugin("libOrthancPython")
        require(plugin is not None, "no Python plugin of Orthanc (Debian: orthanc-python)")
        env["RADIARCH_HOOK_SECRET"] = SECRET
        more |= {"Plugins": [str(plugin)], "PythonScript": str(SCRIPTS / "radiarch_hook.py")}
    server = OrthancServer(tmp_path / "orthanc", more, env)
    server.start()
    yield server
    server.remove()


async def test_orthanc_tells_the_gateway(
    telling: OrthancServer, settings: Settings, port: int, request: pytest.FixtureRequest
) -> None:
    """The gateway looks when it is told. The Python hook's hint outlives a gateway that is down and a killed Orthanc.

    Fails when a script cannot be loaded, signs otherwise than the gateway checks, or forgets.
    """
    outlives = "python" in request.node.callspec.params.values()
    same = settings.model_copy(update={"pacs": {"main": watched_pacs(telling.url)}})
    if outlives:
        telling.upload(file_of(SyntheticStudy()))
        telling.kill()
        telling.start()
    with served(create_app(same), port) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:

            async def watch() -> dict[str, Any]:
                return (await client.get("/api/v1/hooks")).raise_for_status().json()["pacs"][0]

            await until(watch, lambda seen: seen["looked_at"])
            if not outlives:
                telling.upload(file_of(SyntheticStudy()))
            seen = await until(watch, lambda seen: seen["hinted_at"] and seen["looked_at"] > seen["hinted_at"])
            assert seen["cursor"] > 0
