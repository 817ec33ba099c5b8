"""TLS: the gateway's own, to clients that bear a certificate alone, and the bus's."""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from radiarch_common.bus import connect
from radiarch_common.errors import RefusedError
from radiarch_common.settings import Settings
from radiarch_gateway.edge.tls import open_line, tls_options
from radiarch_standalone.embedded_nats import find_nats_server
from radiarch_standalone.ports import free_port
from radiarch_testkit.gateway import HANG_S
from radiarch_testkit.require import require


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine, signed by itself, and its key."""
    require(shutil.which("openssl") is not None, "no openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost", "-days", "1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_it_speaks_https_with_those_who_bear_a_certificate(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """As a process: HTTPS with HSTS for a client with the CA's certificate; nothing without one, nor over HTTP."""
    own, key = certificate
    env = {name: value for name, value in os.environ.items() if not name.startswith("RADIARCH_")} | {
        "RADIARCH_DATABASE_URL": f"sqlite:///{tmp_path / 'radiarch.db'}",
        "RADIARCH_OBJECTS_FOLDER": str(tmp_path / "objects"),
        "RADIARCH_HTTP_PORT": "0",
        "RADIARCH_NATS_URL": "nats://127.0.0.1:9",
        "RADIARCH_TLS_CERTIFICATE": str(own),
        "RADIARCH_TLS_KEY": str(key),
        "RADIARCH_TLS_CLIENT_CA": str(own),
    }
    process = subprocess.Popen([sys.executable, "-m", "radiarch_gateway"], env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        lines = (json.loads(line) for line in process.stderr if line.startswith("{"))
        url = next(line["url"] for line in lines if line["event"] == "listening")
        assert url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=own)
        with httpx.Client(verify=context, timeout=HANG_S) as nobody, pytest.raises(httpx.TransportError):
            nobody.get(f"{url}/health/live")
        context = ssl.create_default_context(cafile=own)
        context.load_cert_chain(own, key)
        with httpx.Client(verify=context, timeout=HANG_S) as known:
            answer = known.get(f"{url}/health/live")
        assert answer.status_code == 200
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http"), timeout=HANG_S)
    finally:
        process.terminate()
        process.wait(timeout=HANG_S)
        process.stderr.close()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tls_key": "key.pem"}, "without a certificate"),
        ({"tls_client_ca": "ca.pem"}, "without a certificate"),
        ({"tls_certificate": "nowhere.pem"}, "no file"),
    ],
)
def test_tls_that_does_not_fit_together_is_refused(given: dict[str, Path], reason: str) -> None:
    """Rather than served in the clear."""
    with pytest.raises(RefusedError, match=reason):
        tls_options(Settings.model_validate(given))


def test_a_line_is_open_beyond_this_machine_without_tls(certificate: tuple[Path, Path]) -> None:
    """Told in the log, in ``/info`` and by the doctor."""
    assert open_line(Settings(http_host="0.0.0.0"))
    assert not open_line(Settings(http_host="127.0.0.1"))
    assert not open_line(Settings(http_host="0.0.0.0", tls_by_proxy=True))
    assert not open_line(Settings(http_host="0.0.0.0", tls_certificate=certificate[0]))


async def test_the_bus_is_known_by_its_certificate(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A real nats-server that asks for TLS and a client's certificate; one that is signed by nobody known is left."""
    own, key = certificate
    port = free_port()
    config = tmp_path / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\ntls {{ cert_file: "{own}", key_file: "{key}", ca_file: "{own}", verify: true }}\n'
    )
    process = subprocess.Popen([str(find_nats_server()), "-c", str(config)], stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        known = Settings(
            nats_url=f"tls://127.0.0.1:{port}", nats_tls_ca=own, nats_tls_certificate=own, nats_tls_key=key
        )
        async with asyncio.timeout(HANG_S):
            client = await connect(known, "test")
        assert client.is_connected
        await client.close()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await connect(Settings(nats_url=f"tls://127.0.0.1:{port}"), "test")
    finally:
        process.terminate()
        process.wait(timeout=HANG_S)
