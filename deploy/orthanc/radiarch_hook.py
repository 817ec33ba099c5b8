"""Tells a Radiarch gateway that images have come, for Orthanc's Python plugin (`"PythonScript"`).

A hint is kept in a small database until the gateway has taken it, so that it outlives a restart of either. It names
no patient and no study: the gateway looks for itself. The standard library is all it needs.

Variables of Orthanc's process:

RADIARCH_HOOK_URL
    ``https://gateway/api/v1/hooks/orthanc/main``, ending in the gateway's name of this PACS.
RADIARCH_HOOK_SECRET
    The ``hook_secret`` of this PACS at the gateway, at least 32 characters.
RADIARCH_HOOK_OUTBOX
    The database; unset: ``radiarch-hook.db`` in Orthanc's ``IndexDirectory``.
"""

import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import orthanc

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
TIMEOUT_S = 5.0


class Outbox:
    """Hints that the gateway has not taken yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)  # Orthanc makes it after its plugins have started
        with closing(self._open()) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS hints (number INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT)")

    def put(self, event: str) -> None:
        """Keep a hint; it is on disk when this returns."""
        with closing(self._open()) as database, database:
            database.execute("INSERT INTO hints (event) VALUES (?)", (event,))

    def latest(self) -> "tuple[int, str] | None":
        """The hint that stands for all that wait: the gateway looks at everything, whichever woke it."""
        with closing(self._open()) as database:
            return database.execute("SELECT number, event FROM hints ORDER BY number DESC LIMIT 1").fetchone()

    def taken(self, number: int) -> None:
        """Forget a hint and those before it."""
        with closing(self._open()) as database, database:
            database.execute("DELETE FROM hints WHERE number <= ?", (number,))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)


class Courier(threading.Thread):
    """Carries hints to the gateway, for as long as it takes."""

    def __init__(self, outbox: Outbox, url: str, secret: bytes) -> None:
        super().__init__(name="radiarch-hook", daemon=True)
        self._outbox = outbox
        self._url = url
        self._secret = secret
        self._more = threading.Event()
        self._ending = False

    def put(self, event: str) -> None:
        """Keep a hint and have it carried."""
        self._outbox.put(event)
        self._more.set()

    def end(self) -> None:
        """Stop; what waits is carried after the next start."""
        self._ending = True
        self._more.set()

    def run(self) -> None:
        """Carry until told to end."""
        failures = 0
        while not self._ending:
            self._more.clear()
            hint = self._outbox.latest()
            if hint is None:
                self._more.wait()
            elif self._deliver(*hint):
                self._outbox.taken(hint[0])
                failures = 0
            else:
                self._more.wait(min(FIRST_RETRY_S * 2**failures, LONGEST_RETRY_S))
                failures = min(failures + 1, 10)

    def _deliver(self, number: int, event: str) -> bool:
        body = json.dumps({"number": number, "event": event}).encode()
        timestamp = str(int(time.time()))
        signature = hmac.new(self._secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Radiarch-Timestamp": timestamp,
            "X-Radiarch-Signature": signature,
        }
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - the operator's own address
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
                return True
        except urllib.error.HTTPError as error:
            orthanc.LogError(f"Radiarch's gateway answers {error.code}; its hint is sent again.")
        except OSError as error:
            orthanc.LogWarning(f"Radiarch's gateway is not reachable ({type(error).__name__}); tried again.")
        return False


def required(name: str) -> str:
    """A variable that must be set."""
    value = os.environ.get(name, "")
    if not value:
        raise RuntimeError(f"{name} is not set: Radiarch cannot be told that images have come")
    return value


def outbox_path() -> Path:
    """Where hints wait."""
    folder = json.loads(orthanc.GetConfiguration()).get("IndexDirectory", ".")
    return Path(os.environ.get("RADIARCH_HOOK_OUTBOX") or Path(folder) / "radiarch-hook.db")


secret = required("RADIARCH_HOOK_SECRET").encode()
courier = Courier(Outbox(outbox_path()), required("RADIARCH_HOOK_URL"), secret)


def on_change(change: int, level: int, resource: str) -> None:
    """Orthanc's callback. After a start too: what was uploaded before it never becomes stable again."""
    del level, resource
    if change == orthanc.ChangeType.ORTHANC_STARTED:
        courier.start()
        courier.put("OrthancStarted")
    elif change == orthanc.ChangeType.ORTHANC_STOPPED:
        courier.end()
    elif change == orthanc.ChangeType.STABLE_STUDY:
        courier.put("StableStudy")


orthanc.RegisterOnChangeCallback(on_change)
