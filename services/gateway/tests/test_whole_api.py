"""The whole API against its own description: what is sent at random is answered as described, and never by a 5xx."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import utc_now
from radiarch_common.objects import FolderStore
from radiarch_common.settings import Settings
from radiarch_gateway import stream
from radiarch_gateway.artifacts.store import API
from radiarch_gateway.auth.scopes import Role
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login

PLENTY = 1_000_000
PHASES = "examples,fuzzing"
EXAMPLES = 6
"""Of each operation; more find more, in more time."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
)
HOOKS = Path(__file__).with_name("whole_api_hooks.py")
CALLS_ENDING = 60
"""Calls that end logins, at the most: each is made by somebody else."""
STREAM_LASTS_MIN = 0.002
"""A stream of all events ends with the life of an access token, and else never."""
QUIET_S = 0.02
NO_CREDENTIALS = "with-security-parameters = false"
"""Those at random would be refused by the guard, and nothing behind it be reached; a check tries some anyhow."""
SAID = "what they said at their login"
MUST_SUCCEED = {
    "POST /api/v1/auth/logout 204",
    "POST /api/v1/auth/password 204",
    "GET /api/v1/events 200",
    "GET /api/v1/jobs/{job_id}/events 200",
    "GET /api/v1/rules/{rule_id} 200",
    "DELETE /api/v1/keys/{key_id} 200",
    "POST /api/v1/plans 202",
    "POST /api/v1/rules 201",
    "POST /api/v1/rules/{rule_id}/versions 201",
    "POST /api/v1/keys 201",
}
"""What fails for everybody after the first success, never ends, or succeeds with something of its own alone."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Callers log in, and are not told to wait; streams end soon."""
    limits = {"rate_limit_per_min": PLENTY, "rate_limit_public_per_min": PLENTY}
    return settings.model_copy(update={"authentication": "accounts", "access_token_min": STREAM_LASTS_MIN, **limits})


@pytest.fixture
async def url(app: FastAPI, stage_hand: StageHand, catalogue: Catalogue) -> AsyncIterator[str]:
    await stage_hand.offer(catalogue)
    with served(app) as address:
        yield address


@pytest.mark.slow
async def test_every_answer_is_as_described(
    app: FastAPI,
    url: str,
    stage_hand: StageHand,
    objects: FolderStore,
    body: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails on a 5xx; on a status, media type, body or header that is not described; on a guard that lets go.

    No operation is left out: fails when the streams and what ends a login are refused throughout.

    To try more: raise EXAMPLES, and add the phases ``coverage`` and ``stateful``.
    """
    monkeypatch.setattr(stream, "QUIET_S", QUIET_S)
    headers = login(app, {Role.ADMIN, Role.PHYSICIST})
    async with httpx.AsyncClient(base_url=f"{url}{API}", headers=headers, timeout=HANG_S) as client:
        await until(lambda: client.get("/info"), lambda answer: answer.json()["workflows"])
        plan_id: str = (await client.post("/plans", json=body)).json()["id"]
        await stage_hand.say(plan_id, "exporter", "finished", artifacts=_artifacts(objects))
        plan = await until(lambda: client.get(f"/plans/{plan_id}"), lambda answer: answer.json()["artifacts"])
        ids = {"plan_id": plan_id, "job_id": plan_id, "artifact_id": plan.json()["artifacts"][0]["id"]}
        ids |= await _more_ids(app, client, body)
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in ids.items()]
    (tmp_path / "schemathesis.toml").write_text("\n".join(["[generation]", NO_CREDENTIALS, "[parameters]", *lines, ""]))
    (tmp_path / "callers.json").write_text(json.dumps(_callers(app, headers) | {"bodies": _bodies(body)}))
    done = await asyncio.to_thread(_run, url, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = set((tmp_path / "answers.txt").read_text().splitlines())
    assert answers >= MUST_SUCCEED
    asked = {answer.rpartition(" ")[0] for answer in answers}
    paths = app.openapi()["paths"].items()
    assert asked == {f"{method.upper()} {path}" for path, operations in paths for method in operations}


async def _more_ids(app: FastAPI, client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """Of a rule and a key; of a user and a clinic that may be shut out, as they are not those of who asks here."""
    login(app, {Role.CLINICIAN}, "elsewhere")
    colleague = await client.get("/auth/me", headers=login(app, {Role.CLINICIAN}))
    rule, key = [await client.post(path, json=_bodies(body)[API + path]) for path in ("/rules", "/keys")]
    assert (rule.status_code, key.status_code) == (201, 201), rule.text + key.text
    user_id = colleague.json()["id"].removeprefix("user:")
    more = {"rule_id": rule.json()["id"], "version": 1, "key_id": key.json()["key"]["id"]}
    return more | {"user_id": user_id, "clinic_id": "elsewhere"}


def _bodies(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    asked = {name: value for name, value in body.items() if name != "study_instance_uid"}
    rule = {"title": "Lung", "match": {"structures": ["ptv*"]}, "request": asked}
    ends = (utc_now() + timedelta(days=1)).isoformat()
    key = {"name": "of a test", "scopes": ["info:read"], "expires_at": ends}
    rules = f"{API}/rules"
    return {f"{API}/plans": body, rules: rule, f"{rules}/{{rule_id}}/versions": rule, f"{API}/keys": key}


def _callers(app: FastAPI, headers: dict[str, str]) -> dict[str, Any]:
    once = [login(app, {Role.CLINICIAN}, password=SAID)["Authorization"] for _ in range(CALLS_ENDING)]
    return {"everyday": headers["Authorization"], "once": once, "password": SAID}


def _artifacts(objects: FolderStore) -> list[dict[str, Any]]:
    content = b"a dose"
    objects.put("artifacts/RTDOSE.dcm", content)
    return [
        {
            "name": "RTDOSE.dcm",
            "kind": "RTDOSE",
            "media_type": "application/dicom",
            "key": "artifacts/RTDOSE.dcm",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
            "sop_instance_uid": "1.2.3",
        }
    ]


def _run(url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    options = {
        "--checks": ",".join(CHECKS),
        "--phases": PHASES,
        "--max-examples": str(EXAMPLES),
        "--seed": "1",
        "--generation-database": "none",
    }
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--continue-on-failure"]
    command += [word for option in options.items() for word in option]
    env = os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=env, timeout=10 * HANG_S, check=False
    )
