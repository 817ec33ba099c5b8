"""The page at ``/``, as a server's answers and in a real browser."""

import hashlib
import json
import re
import struct
import zlib
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page, expect
from radiarch_common.catalogue import Catalogue
from radiarch_common.objects import FolderStore
from radiarch_common.result import GoalResult
from radiarch_common.settings import Settings
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.page.dvh import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Curve, chart
from radiarch_testkit.browser import DESKTOP, PHONE, is_wider_than_the_screen, wrong_for_people
from radiarch_testkit.desk import PASSWORD, account
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login

OWN = "chosen by nobody else"
NAMES = ("PTV_5000", "Spinal cord with a name of some length", "BODY")
GOALS = [
    ("PTV_5000", "D95%[Gy]", ">=", 47.5, 49.2, "met"),
    ("PTV_5000", "D2%[Gy]", "<=", 53.5, 54.0, "acceptable"),
    ("BODY", "V30Gy[%]", "<=", 10.0, 14.25, "missed"),
]


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """In the browser people log in."""
    if "chromium" not in request.fixturenames:
        return settings
    return settings.model_copy(update={"authentication": "accounts"})


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


async def _is_good(page: Page) -> None:
    assert await wrong_for_people(page) == []
    assert not await is_wider_than_the_screen(page)


async def _come_in(page: Page, username: str) -> None:
    await _is_good(page)
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_label("New password").fill(OWN)
    await _is_good(page)
    await page.get_by_label("The same once more").fill(OWN)
    await page.get_by_role("button", name="Set it").click()


@pytest.mark.parametrize(
    ("width", "scheme", "refused_once"),
    [(PHONE, "dark", False), (DESKTOP, "light", True)],
    ids=["phone", "desktop, its stream refused once"],
)
async def test_in_a_browser(
    chromium: Browser,
    app: FastAPI,
    body: dict[str, Any],
    stage_hand: StageHand,
    catalogue: Catalogue,
    objects: FolderStore,
    width: Any,  # noqa: ANN401 - Playwright's own type is private
    scheme: Any,  # noqa: ANN401
    refused_once: bool,
) -> None:
    """From a password that was given to a plan that ends, without a reload.

    Jobs come, move and end by themselves, also when the stream was refused once; nothing is broken for axe, too wide,
    or kept out by the policy.
    """
    await stage_hand.offer(catalogue)
    page = await chromium.new_page(viewport=width, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    with served(app) as host:
        headers = login(app, {Role.CLINICIAN})
        async with httpx.AsyncClient(base_url=host, timeout=HANG_S, headers=headers) as http:
            await until(lambda: http.get("/api/v1/info"), lambda answer: answer.json()["workflows"])

            async def ask() -> str:
                return (await http.post("/api/v1/plans", json=body)).raise_for_status().json()["id"]

            user = account(app.state.gateway, Role.CLINICIAN, must_change_password=True)
            await page.goto(f"{host}/")
            await _come_in(page, user.username)
            await expect(page.get_by_text("Nobody has asked for a plan yet.")).to_be_visible()
            assert [one for one in complaints if "status of 401" not in one] == []
            complaints.clear()

            running = await ask()
            row = page.locator(f"[data-job='{running}']")
            await expect(row).to_contain_text("Waits for the importer", timeout=HANG_S * 1000)
            await expect(row).to_contain_text("place 1")
            await stage_hand.say(running, "planner", "started")
            await expect(row).to_contain_text("running", timeout=HANG_S * 1000)
            await stage_hand.say(running, "planner", "progress", progress=0.25, message="beamlets 3 of 12")
            await expect(row).to_contain_text("beamlets 3 of 12", timeout=HANG_S * 1000)
            await expect(row).to_contain_text("25 %")
            refused = await ask()
            await expect(page.locator("[data-job]").first).to_have_attribute("data-job", refused, timeout=HANG_S * 1000)
            await _is_good(page)

            await row.get_by_role("link").click()
            await expect(page.locator("[data-part=state]")).to_have_text("running")
            await _finish(stage_hand, objects, running)
            await expect(page.get_by_role("heading", name="Goals")).to_be_visible(timeout=HANG_S * 1000)
            for *_, verdict in GOALS:
                await expect(page.get_by_text(verdict, exact=True)).to_be_visible()
            await expect(page.locator(".dvh > svg .curve")).to_have_count(len(NAMES))
            assert await page.evaluate("document.querySelector('img.dose').decode().then(() => true)")
            await _is_good(page)

            if refused_once:  # which browsers take for an end
                await page.route("**/api/v1/events", lambda route: route.fulfill(status=503), times=1)
            await page.goto(f"{host}/plan/{refused}")
            reason = {"reason": "There is no ROI 'PTV'.", "hint": "Draw it."}
            await stage_hand.say(refused, "importer", "failed", refused=True, **reason)
            await expect(page.get_by_text("Draw it.")).to_be_visible(timeout=HANG_S * 1000)
            assert [one for one in complaints if "status of 503" not in one] == []
        await page.close()


async def test_without_a_login_the_page_is_there_at_once(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """And says what it knows: a name from a request is text, whatever it looks like."""
    nasty = body | {"prescription": body["prescription"] | {"target": "<script>alert(1)</script>"}}
    await http.post("/api/v1/plans", json=nasty)
    shown = await until(lambda: http.get("/"), lambda answer: "&lt;script&gt;" in answer.text)
    assert "<script>alert" not in shown.text
    assert "script-src 'self'" in shown.headers["Content-Security-Policy"]
    assert (await http.get("/login")).status_code == 303
    assert (await http.get("/plan/0123456789")).status_code == 404
    assert (await http.get("/plan/not a plan!")).status_code == 404
