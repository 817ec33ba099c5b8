"""A gateway for a bench: real bus, real database, a process of its own; how it is asked, and what it uses."""

import asyncio
import json
import os
import secrets
import statistics
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

HANG_S = 120.0
UNLIMITED = "1000000000"


@dataclass
class Bench:
    """A gateway that is up, and what was seen of it."""

    url: str
    pid: int
    headers: dict[str, str]
    bus: Any
    database: Any
    jobs: list[str] = field(default_factory=list[str])


@contextmanager
def database_url(kind: str, folder: Path) -> Generator[str]:
    """An empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'radiarch.db'}"
        return
    from radiarch_testkit.postgres import running_here

    with running_here(safe=True) as server:
        yield server.new_database()


@asynccontextmanager
async def running(kind: str, folder: Path) -> AsyncGenerator[Bench]:
    """Bus, database and gateway."""
    from radiarch_common.bus import Bus, connect
    from radiarch_common.settings import Settings
    from radiarch_common.topology import CATALOGUE, CATALOGUE_KEY, bootstrap
    from radiarch_gateway.app import create_app
    from radiarch_gateway.auth.scopes import Role
    from radiarch_planner.catalogue import build_catalogue
    from radiarch_standalone.embedded_nats import EmbeddedNats
    from radiarch_standalone.ports import free_port
    from radiarch_standalone.processes import ServiceProcess
    from radiarch_testkit.people import login

    broker = EmbeddedNats(folder / "nats")
    broker.start()
    with database_url(kind, folder) as url:
        env = {
            "RADIARCH_NATS_URL": broker.url,
            "RADIARCH_DATABASE_URL": url,
            "RADIARCH_OBJECTS_FOLDER": str(folder / "objects"),
            "RADIARCH_PACS": json.dumps({"main": {"kind": "folder", "folder": str(folder / "pacs")}}),
            "RADIARCH_HTTP_PORT": str(free_port()),
            "RADIARCH_SECRET_KEY": secrets.token_urlsafe(48),
            "RADIARCH_RATE_LIMIT_PER_MIN": UNLIMITED,
        }
        settings = Settings.model_validate(
            {name.removeprefix("RADIARCH_").lower(): value for name, value in env.items() if name != "RADIARCH_PACS"}
        )
        client = await connect(settings, "bench")
        await bootstrap(client, settings)
        bus = Bus(client)
        await (await bus.bucket(CATALOGUE)).put(CATALOGUE_KEY, build_catalogue().model_dump_json().encode())
        service = ServiceProcess("radiarch_gateway", env, folder / "gateway.log")
        service.start()
        address = f"http://127.0.0.1:{settings.http_port}"
        try:
            await ready(address, service)
            app = create_app(settings)  # not served: knows tables and secret
            headers = login(app, {Role.PHYSICIST})
            yield Bench(address, service.pid, headers, bus, app.state.gateway.database)
            app.state.gateway.database.close()
        finally:
            service.stop()
            await client.close()
            broker.stop()


async def ready(url: str, service: Any) -> None:  # noqa: ANN401 - a ServiceProcess
    """Returns when the gateway answers."""
    end = time.monotonic() + HANG_S
    async with httpx.AsyncClient(base_url=url) as client:
        while True:
            try:
                if (await client.get("/health/ready")).is_success:
                    return
            except httpx.HTTPError:
                pass
            if not service.running or time.monotonic() > end:
                raise RuntimeError(f"the gateway did not start:\n{service.last_words()}")
            await asyncio.sleep(0.1)


class Asker:
    """Posts the same request over connections that are kept: costs this machine little, which the gateway needs."""

    def __init__(self, bench: Bench, body: dict[str, Any]) -> None:
        address = urlsplit(bench.url)
        self._host, self._port = address.hostname, address.port
        content = json.dumps(body).encode()
        lines = ["POST /api/v1/plans HTTP/1.1", "Host: bench", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in bench.headers.items())]
        self._request = "\r\n".join([*lines, "", ""]).encode() + content
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self) -> tuple[int, bytes]:
        """Status and body of one answer."""
        while self._idle and self._idle[-1][0].at_eof():  # the gateway has closed it
            self._idle.pop()[1].close()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        """Close every connection."""
        for _, writer in self._idle:
            writer.close()


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and largest, in ms."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        name: round(value * 1e3, 1) for name, value in (("p50", cuts[49]), ("p99", cuts[98]), ("max", max(seconds)))
    }


def cpu_s(pid: int) -> float:
    """Seconds of a core that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024)
