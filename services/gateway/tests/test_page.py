"""The page at ``/``, as a server's answers and in a real browser."""

import hashlib
import json
import re
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, expect
from radiarch_common.objects import FolderStore
from radiarch_common.result import GoalResult
from radiarch_common.settings import Settings
from radiarch_gateway.auth.guard import ACCESS_COOKIE
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.errors import UnauthorizedError
from radiarch_gateway.page.cookies import REFRESH_COOKIE
from radiarch_gateway.page.door import Entry
from radiarch_gateway.page.dvh import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Curve, chart
from radiarch_testkit.browser import DESKTOP, PHONE, is_wider_than_the_screen, wrong_for_people
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login

NAMES = ("PTV_5000", "Spinal cord with a name of some length", "BODY")
GOALS = [
    ("PTV_5000", "D95%[Gy]", ">=", 47.5, 49.2, "met"),
    ("PTV_5000", "D2%[Gy]", "<=", 53.5, 54.0, "acceptable"),
    ("BODY", "V30Gy[%]", "<=", 10.0, 14.25, "missed"),
]


def _png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + b"\x40" * side) * side)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _dvh() -> dict[str, Any]:
    doses = [float(dose) for dose in range(61)]
    return {
        "curves": [
            {
                "structure": name,
                "volume_cc": 100.5,
                "metrics": {"D98%[Gy]": 48.0, "D95%[Gy]": 49.2, "Mean[Gy]": 50.0, "Max[Gy]": 54.5},
                "dose_gy_rbe": doses,
                "volume_percent": [100.0 / (1.0 + 2.0 ** (dose - 50.0 / (number + 1))) for dose in doses],
            }
            for number, name in enumerate(NAMES)
        ]
    }


def _report() -> dict[str, Any]:
    goals = [
        {
            "goal": {"structure": structure, "metric": metric, "op": op, "value": value, "limit": None, "priority": 1},
            "achieved": achieved,
            "met": verdict == "met",
            "verdict": verdict,
        }
        for structure, metric, op, value, achieved, verdict in GOALS
    ]
    uncertainty = {"percent": 1.2, "voxels": "PTV_5000", "batches": 12}
    return {"goals": goals, "beam_statistics": [], "uncertainty": uncertainty, "warnings": {"case": ["Thick slices."]}}


def _artifacts(objects: FolderStore) -> list[dict[str, Any]]:
    files = (
        ("dvh.json", "DVH", "application/json", json.dumps(_dvh()).encode()),
        ("plan.json", "REPORT", "application/json", json.dumps(_report()).encode()),
        ("dose.png", "PICTURE", "image/png", _png(64)),
        ("report.pdf", "REPORT", "application/pdf", b"%PDF-"),
    )
    found: list[dict[str, Any]] = []
    for name, kind, media_type, data in files:
        objects.put(f"artifacts/{name}", data)
        digest = hashlib.sha256(data).hexdigest()
        found.append(
            {"name": name, "kind": kind, "media_type": media_type, "key": f"artifacts/{name}", "sha256": digest}
            | {"size_bytes": len(data)}
        )
    return found


async def _finish(stage_hand: StageHand, objects: FolderStore, job_id: str) -> None:
    await stage_hand.say(job_id, "exporter", "started")
    await stage_hand.say(job_id, "exporter", "finished", artifacts=_artifacts(objects))


def test_the_diagram_is_drawn_to_scale() -> None:
    """A curve's corner and a goal's mark lie where dose and volume say; marks point to the good side."""
    goals = [
        GoalResult.model_validate(
            {"goal": {"structure": s, "metric": m, "op": op, "value": v, "priority": 1}, "achieved": a, "met": False}
        )
        for s, m, op, v, a, _ in [*GOALS, ("PTV", "CV10Gy[cc]", ">=", 5.0, 4.0, "missed")]
    ]
    drawn = chart([Curve(structure="PTV", dose_gy_rbe=[0.0, 30.0, 60.0], volume_percent=[100.0, 50.0, 0.0])], goals)
    middle = f"{LEFT + (WIDTH - LEFT - RIGHT) / 2:g} {TOP + (HEIGHT - TOP - BOTTOM) / 2:g}"
    assert drawn.lines[0].path == f"M{LEFT} {TOP}L{middle}L{WIDTH - RIGHT} {HEIGHT - BOTTOM}"
    assert [tick.words for tick in drawn.doses] == ["0", "10", "20", "30", "40", "50", "60"]
    assert len(drawn.marks) == 3, "a goal in cm3 is no point of the diagram"
    x, tip, base = re.findall(r"[\d.]+", drawn.marks[0].path)[0], *re.findall(r"[\d.]+", drawn.marks[0].path)[1:4:2]
    assert float(x) == pytest.approx(LEFT + (WIDTH - LEFT - RIGHT) * 47.5 / 60.0, abs=0.1)
    assert float(tip) < float(base)


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
async def test_in_a_browser(
    chromium: Browser,
    http: httpx.AsyncClient,
    body: dict[str, Any],
    stage_hand: StageHand,
    objects: FolderStore,
    width: Any,  # noqa: ANN401 - Playwright's own type is private
    scheme: Any,  # noqa: ANN401
) -> None:
    """Progress moves by itself, and so does the end; nothing is broken for axe, too wide, or kept out by the policy."""
    waiting, running = [(await http.post("/api/v1/plans", json=body)).json()["id"] for _ in range(2)]
    await stage_hand.say(waiting, "importer", "failed", refused=True, reason="There is no ROI 'PTV'.", hint="Draw it.")
    await stage_hand.say(running, "planner", "started")
    page = await chromium.new_page(viewport=width, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    host = str(http.base_url).rstrip("/")

    await page.goto(f"{host}/")
    row = page.locator(f"[data-follow='{running}']")
    await stage_hand.say(running, "planner", "progress", progress=0.25, message="beamlets 3 of 12")
    await expect(row).to_contain_text("beamlets 3 of 12", timeout=HANG_S * 1000)
    await expect(row).to_contain_text("25 %")
    assert await wrong_for_people(page) == []
    assert not await is_wider_than_the_screen(page)

    await row.get_by_role("link").click()
    await expect(page.locator("[data-state]")).to_have_text("running")
    await _finish(stage_hand, objects, running)
    await expect(page.get_by_role("heading", name="Goals")).to_be_visible(timeout=HANG_S * 1000)
    for *_, verdict in GOALS:
        await expect(page.get_by_text(verdict, exact=True)).to_be_visible()
    await expect(page.locator(".dvh > svg .curve")).to_have_count(len(NAMES))
    assert await page.evaluate("document.querySelector('img.dose').decode().then(() => true)")
    assert await wrong_for_people(page) == []
    assert not await is_wider_than_the_screen(page)

    await page.goto(f"{host}/plan/{waiting}")
    await expect(page.get_by_text("Draw it.")).to_be_visible()
    assert complaints == []
    await page.close()


@dataclass
class Porter:
    """Lets in who knows the word; its tokens are those of the tests."""

    token: str = ""
    left: list[str] = field(default_factory=list[str])

    def log_in(self, username: str, password: str, totp_code: str | None, client_ip: str) -> Entry:
        if (username, password, totp_code, client_ip) != ("jo", "open sesame", None, "127.0.0.1"):
            raise UnauthorizedError("Username, password or code is wrong.")
        return self.stay("good")

    def stay(self, refresh_token: str) -> Entry:
        if refresh_token != "good":
            raise UnauthorizedError("This login has ended: log in again.")
        return Entry(self.token, 3600, "good", 7 * 24 * 3600)

    def log_out(self, access_token: str) -> None:
        self.left.append(access_token)


@pytest.fixture
async def guarded(settings: Settings, app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that asks who calls; it keeps cookies as a browser does."""
    app.state.gateway.settings.authentication = "accounts"
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            yield client


def _token(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def _form(answer: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.text))


async def test_people_log_in_with_a_form_and_scripts_cannot_have_their_cookies(
    app: FastAPI, guarded: httpx.AsyncClient
) -> None:
    """From the page that was asked for to the form and back to it, and out again; only this server's forms count."""
    porter = app.state.gateway.door = Porter(token=_token(login(app, {Role.CLINICIAN})))
    asked = await guarded.get("/plan/0123456789")
    assert asked.status_code == 401
    assert asked.headers["WWW-Authenticate"] == "Bearer"
    form = _form(asked)
    assert form["goes_to"] == "/plan/0123456789"
    word = {"username": "jo", "password": "open sesame"}
    assert (await guarded.post("/login", data=word | {"form_token": "0" * 64})).status_code == 403
    wrong = await guarded.post("/login", data=form | {"username": "jo", "password": "wrong"})
    assert wrong.status_code == 401
    assert "code is wrong" in wrong.text
    inside = await guarded.post("/login", data=form | word)
    assert (inside.status_code, inside.headers["Location"]) == (303, "/plan/0123456789")
    for cookie in inside.headers.get_list("set-cookie"):
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
    assert (await guarded.get("/plan/0123456789")).status_code == 404
    home = await guarded.get("/")
    assert home.status_code == 200
    assert "Somebody" in home.text
    out = await guarded.post("/logout", data=_form(home))
    assert (out.status_code, out.headers["Location"]) == (303, "/login")
    assert porter.left == [porter.token]
    assert (await guarded.get("/")).status_code == 401
    assert (await guarded.get("/login")).status_code == 200


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/docs", "/plan/../../x", "/\n/evil"])
async def test_a_login_leads_nowhere_else(app: FastAPI, guarded: httpx.AsyncClient, place: str) -> None:
    """A link with a target of somebody else's must not end at their copy of the form."""
    app.state.gateway.door = Porter(token=_token(login(app, {Role.CLINICIAN})))
    form = _form(await guarded.get("/")) | {"username": "jo", "password": "open sesame", "goes_to": place}
    assert (await guarded.post("/login", data=form)).headers["Location"] == "/"


async def test_a_cookie_reads_and_does_nothing_else(
    app: FastAPI, guarded: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    """Another site can have a browser send its cookies; it must change nothing. A header that is sent counts alone."""
    mine, other = login(app, {Role.CLINICIAN}), login(app, {Role.CLINICIAN}, clinic_id="elsewhere")
    guarded.cookies.set(ACCESS_COOKIE, _token(mine))
    assert (await guarded.get("/api/v1/jobs")).status_code == 200
    assert (await guarded.post("/api/v1/plans", json=body)).status_code == 401
    assert (await guarded.delete("/api/v1/plans/0123456789")).status_code == 401
    assert (await guarded.get("/api/v1/jobs", headers={"Authorization": "Bearer nobody"})).status_code == 401
    assert (await guarded.get("/api/v1/jobs", headers={"Authorization": "Basic YTpi"})).status_code == 401
    assert "clinic elsewhere" in (await guarded.get("/", headers=other)).text


async def test_the_page_goes_on_with_the_refresh_token(app: FastAPI, guarded: httpx.AsyncClient) -> None:
    """After an hour people go on reading; when the login has ended they are told, and the cookies are gone."""
    app.state.gateway.door = Porter(token=_token(login(app, {Role.CLINICIAN})))
    guarded.cookies.set(REFRESH_COOKIE, "good")
    again = await guarded.get("/")
    assert (again.status_code, again.headers["Location"]) == (303, "/")
    assert f"{ACCESS_COOKIE}=" in again.headers["set-cookie"]
    guarded.cookies.clear()
    guarded.cookies.set(REFRESH_COOKIE, "used up")
    ended = await guarded.get("/")
    assert ended.status_code == 401
    assert "This login has ended" in ended.text
    gone = [cookie for cookie in ended.headers.get_list("set-cookie") if cookie.startswith(REFRESH_COOKIE)]
    assert "Max-Age=0" in gone[0]


async def test_without_a_login_the_page_is_there_at_once(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """And says what it knows: a name from a request is text, whatever it looks like."""
    nasty = body | {"prescription": body["prescription"] | {"target": "<script>alert(1)</script>"}}
    await http.post("/api/v1/plans", json=nasty)
    shown = await until(lambda: http.get("/"), lambda answer: "&lt;script&gt;" in answer.text)
    assert "<script>alert" not in shown.text
    assert "script-src 'self'" in shown.headers["Content-Security-Policy"]
    assert (await http.get("/login")).status_code == 303
    missing = await http.get("/plan/0123456789")
    assert missing.status_code == 404
    assert "Nothing here" in missing.text
    assert (await http.get("/plan/not a plan!")).status_code == 404
