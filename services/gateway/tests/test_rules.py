"""Rules without a PACS: what they match, what they ask for, and that only a signed one plans."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.db import Database
from radiarch_gateway.hooks.models import WatchRow
from radiarch_gateway.hooks.store import LostError, WatchStore
from radiarch_gateway.hooks.study import Series, StructureSet, StructureSetTags, Study, content_key
from radiarch_gateway.rules import decisions, store
from radiarch_gateway.rules.asking import NotPlannedError, check, check_pins, request_for, resolved_for
from radiarch_gateway.rules.body import Match, RuleBody
from radiarch_gateway.rules.matching import Outcome, Ready, match
from radiarch_gateway.rules.views import Pins
from radiarch_testkit.databases import Databases
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login

NOW = utc_now()
CT = Series("1.1", "CT", "Thorax 3 mm", NOW, frozenset({"1.1.1", "1.1.2"}))
SET = StructureSet("1.2.1", NOW, ("BODY", "PTV_60"), frozenset({"1.1"}), frozenset({"1.1.1", "1.1.2"}))
STUDY = Study("main", "1", "LUNG left", (CT, Series("1.2", "RTSTRUCT", "", NOW, frozenset({"1.2.1"}))), (SET,))


@pytest.fixture
def rule(body: dict[str, Any]) -> dict[str, Any]:
    asked = {name: value for name, value in body.items() if name != "study_instance_uid"}
    return {"title": "Lung", "match": {"structures": ["ptv*"]}, "request": asked}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, None),
        ({"pacs": ["main", "other"], "study_description": ["*lung*"], "series_description": ["thorax ?*mm"]}, None),
        ({"modalities": ["CT", "RTSTRUCT"], "structures": ["body", "PTV_*"]}, None),
        ({"pacs": ["other"]}, "It is not in PACS 'other'."),
        (
            {"study_description": ["*prostate*", "pelvis"]},
            "The study's description is not like '*prostate*' or 'pelvis'.",
        ),
        ({"series_description": ["head*"]}, "The CT's description is not like 'head*'."),
        ({"structures": ["gtv"]}, "No structure is named like 'gtv'."),
        ({"modalities": ["CT", "MR"]}, "The study has no MR (yet)."),
    ],
)
def test_what_a_rule_is_for(said: dict[str, Any], why: str | None) -> None:
    found = match(Match.model_validate(said), STUDY)
    assert found.why == (() if why is None else (why,))
    assert found.ready == ((Ready(SET, CT),) if why is None else ())


def test_what_a_study_lacks_is_waited_for_and_what_no_wait_mends_is_refused() -> None:
    """Fails when half a CT counts as a whole one, or when a reference to two CTs is taken for one of them."""
    half = replace(CT, sop_uids=frozenset({"1.1.1"}))
    other = replace(CT, uid="1.9", sop_uids=frozenset({"1.9.1"}))
    cases = [
        (replace(STUDY, series=(half,)), Outcome.WAITING, "1 of 2 CT slices that were drawn on are not there (yet)."),
        (replace(STUDY, series=(other,)), Outcome.WAITING, "The CT that was drawn on is not there (yet)."),
        (replace(STUDY, structure_sets=()), Outcome.WAITING, "The study has no RTSTRUCT (yet)."),
        (
            replace(STUDY, series=(CT, other), structure_sets=(replace(SET, series_uids=frozenset({"1.1", "1.9"})),)),
            Outcome.REFUSED,
            "The structure set refers to 2 CT series.",
        ),
        (
            replace(STUDY, structure_sets=(replace(SET, series_uids=frozenset(), image_uids=frozenset()),)),
            Outcome.REFUSED,
            "The structure set does not say on which CT it was drawn.",
        ),
    ]
    for study, outcome, why in cases:
        found = match(Match(), study)
        assert (found.outcome, found.why, found.ready) == (outcome, (why,), ())


def test_a_structure_set_that_is_ready_does_not_wait_for_another() -> None:
    second = replace(SET, sop_uid="1.2.2", image_uids=frozenset({"1.1.1", "1.1.7"}))
    found = match(Match(), replace(STUDY, structure_sets=(SET, second)))
    assert [one.structure_set.sop_uid for one in found.ready] == ["1.2.1"]


def test_the_key_of_a_content() -> None:
    """The same content in another PACS is the same; other slices, another structure set, another rule are not."""
    key = content_key("rule", STUDY, SET, CT)
    assert key == content_key("rule", replace(STUDY, pacs="other", description=""), replace(SET, arrived_at=NOW), CT)
    more = replace(CT, sop_uids=CT.sop_uids | {"1.1.3"})
    assert len({key, content_key("rule", STUDY, SET, more), content_key("two", STUDY, SET, CT)}) == 3
    assert key != content_key("rule", STUDY, replace(SET, sop_uid="1.2.2"), CT)


def test_what_is_read_of_a_structure_set() -> None:
    """References by series and by contour, CT alone; long values come as null."""
    ct, mr = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"

    def images(*pairs: tuple[str, str]) -> list[dict[str, str]]:
        return [{"ReferencedSOPClassUID": kind, "ReferencedSOPInstanceUID": uid} for kind, uid in pairs]

    tags = StructureSetTags.model_validate(
        {
            "SOPInstanceUID": "1.2.1",
            "Manufacturer": None,
            "StructureSetROISequence": [{"ROIName": " PTV "}, {"ROIName": None}],
            "ReferencedFrameOfReferenceSequence": [
                {
                    "RTReferencedStudySequence": [
                        {
                            "RTReferencedSeriesSequence": [
                                {"SeriesInstanceUID": "1.1", "ContourImageSequence": images((ct, "1"), (mr, "2"))}
                            ]
                        }
                    ]
                }
            ],
            "ROIContourSequence": [
                {"ContourSequence": [{"ContourData": None, "ContourImageSequence": images((ct, "3"))}]},
                {},
            ],
        }
    )
    found = tags.structure_set(NOW)
    assert (found.structures, found.series_uids, found.image_uids) == (("PTV",), {"1.1"}, {"1", "3"})
    assert not tags.ours
    assert tags.model_copy(update={"manufacturer": "Radiarch", "model": "Radiarch"}).ours
    assert not tags.model_copy(update={"manufacturer": "Radiarch", "model": "Phantom"}).ours


def test_what_is_asked_for(rule: dict[str, Any], catalogue: Catalogue, settings: Settings) -> None:
    """The structure set is named; a target that nobody drew is refused; so is what was signed for something else."""
    body = RuleBody.model_validate(rule)
    ready = Ready(replace(SET, structures=("BODY", "PTV")), CT)
    request = request_for(body, STUDY, ready)
    assert (request.segmentation_uid, request.pacs, request.machine) == ("1.2.1", "main", "room-1")
    resolved = resolved_for(request, ready, catalogue, settings)
    with pytest.raises(NotPlannedError, match="no structure 'PTV', the target"):
        resolved_for(request, Ready(SET, CT), catalogue, settings)
    pins = Pins.of(check(body, catalogue, settings))
    check_pins(pins, resolved)
    newer = pins.model_copy(update={"machine": pins.machine.model_copy(update={"version": "1", "sha256": "9" * 64})})
    with pytest.raises(NotPlannedError, match="signed for machine 'room-1' version 1; it would be 'room-1' version 2"):
        check_pins(newer, resolved)


async def test_a_rule_is_made_signed_changed_and_put_to_rest(
    http: httpx.AsyncClient, app: FastAPI, rule: dict[str, Any]
) -> None:
    """Fails when a version plans without a signature of its own, or a signature says nothing of who and for what."""

    def active() -> list[tuple[int, str]]:
        with app.state.gateway.database.reading() as session:
            return [(one.version, one.body.title) for one in store.active_rules(session)]

    made = (await http.post("/api/v1/rules", json=rule)).json()
    path = f"/api/v1/rules/{made['id']}"
    assert (made["active_version"], made["created_by"], active()) == (None, "local", [])
    changed = await http.post(f"{path}/versions", json=rule | {"title": "Lung, second"})
    assert changed.status_code == 201
    signed = (await http.post(f"{path}/versions/1/sign")).json()
    assert active() == [(1, "Lung")]
    (signature,) = signed["versions"][0]["signatures"]
    assert (signature["signed_by"], signature["pinned"]["machine"]["version"]) == ("local", "2")
    assert signature["sha256"] == signed["versions"][0]["sha256"] != signed["versions"][1]["sha256"]
    assert (await http.post(f"{path}/versions/1/sign")).status_code == 409
    assert (await http.post(f"{path}/versions/2/sign")).status_code == 200
    assert active() == [(2, "Lung, second")]
    for _ in range(2):
        rested = await http.post(f"{path}/deactivate")
        assert (rested.status_code, rested.json()["deactivated_by"], active()) == (200, "local", [])
    listed = (await http.get("/api/v1/rules")).json()["items"]
    assert [(one["title"], one["latest_version"], one["active_version"]) for one in listed] == [
        ("Lung, second", 2, None)
    ]
    assert (await http.post(f"{path}/versions/3/sign")).status_code == 404


async def test_what_cannot_be_planned_is_no_rule(http: httpx.AsyncClient, rule: dict[str, Any]) -> None:
    """Refused as `POST /plans` would refuse it, by the name of the field in the rule."""
    cases: list[tuple[dict[str, dict[str, Any]], str]] = [
        ({"request": {"machine": "nowhere"}}, "request.machine"),
        ({"request": {"overrides": {"spot_spacing_mm": 99}}}, "request.overrides.spot_spacing_mm"),
        ({"match": {"pacs": ["nowhere"]}}, "match.pacs"),
        ({"match": {"structures": [""]}}, "match.structures.0"),
        ({"request": {"study_instance_uid": "1.2.3"}}, "request.study_instance_uid"),
    ]
    for change, field in cases:
        wrong = rule | {name: rule[name] | values for name, values in change.items()}
        answer = await http.post("/api/v1/rules", json=wrong)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.fixture
async def clinics(
    settings: Settings, stage_hand: StageHand, catalogue: Catalogue
) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, str], dict[str, str]]]:
    """A gateway with login, and headers of a physicist of one clinic and of another."""
    from radiarch_gateway.app import create_app

    await stage_hand.offer(catalogue)
    app = create_app(settings.model_copy(update={"authentication": "accounts"}))
    with served(app) as url:
        one, other = login(app, {Role.PHYSICIST}), login(app, {Role.PHYSICIST}, "elsewhere")
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=HANG_S) as client:
            await until(lambda: client.get("/info", headers=one), lambda answer: answer.json()["workflows"])
            yield client, one, other


async def test_another_clinics_rule_is_as_good_as_missing(
    clinics: tuple[httpx.AsyncClient, dict[str, str], dict[str, str]], rule: dict[str, Any]
) -> None:
    client, one, other = clinics
    made = (await client.post("/rules", json=rule, headers=one)).json()
    path = f"/rules/{made['id']}"
    assert (await client.post(f"{path}/versions/1/sign", headers=one)).status_code == 200
    assert (await client.get("/rules", headers=other)).json()["items"] == []
    assert (await client.get(path, headers=other)).status_code == 404
    assert (await client.post(f"{path}/versions", json=rule, headers=other)).status_code == 404
    for what in ("versions/1/sign", "deactivate"):
        assert (await client.post(f"{path}/{what}", headers=other)).status_code == 404


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'radiarch.db'}"
    else:
        postgres: Databases = request.getfixturevalue("postgres")
        url = postgres.new_database()
    found = Database(url)
    found.migrate()
    yield found
    found.close()


def test_one_look_at_a_time_and_a_dead_one_is_followed(database: Database) -> None:
    """Fails when two gateways look at once, when one that was silent too long goes on, or when a hint is lost."""
    one, other = WatchStore(database, "main"), WatchStore(database, "main")
    begun = begin(one)
    assert other.begin() is None
    one.read_up_to(begun, 7, "mark", ["a", "b"])
    one.end(begun, timedelta(hours=1))
    assert other.begin() is None, "it is not time yet"
    assert other.hint("f" * 64)
    assert not one.hint("f" * 64)
    hurried = begin(one)
    with pytest.raises(LostError):
        one.renew(begun)
    first = one.to_judge()[0]
    one.read_up_to(hurried, 8, "mark", ["a"])
    one.judged(first)
    assert {row.orthanc_id for row in one.to_judge()} == {"a", "b"}, "a study that changed while it was judged is lost"
    with database.writing() as session:
        session.get_one(WatchRow, "main").held_until = utc_now() - timedelta(seconds=1)
    taken_over = begin(other)
    with pytest.raises(LostError):
        one.read_up_to(hurried, 9, None, [])
    other.let_go(taken_over)
    assert begin(one)


def begin(store: WatchStore) -> str:
    row = store.begin()
    assert row is not None
    assert row.holder is not None
    return row.holder


def test_a_plan_that_was_begun_is_ended_once(
    database: Database, rule: dict[str, Any], catalogue: Catalogue, settings: Settings
) -> None:
    """Fails when a gateway that died between begin and end leaves a content planned, or writes it down twice."""
    body = RuleBody.model_validate(rule)
    pins = Pins.of(check(body, catalogue, settings))
    with database.writing() as session:
        made = store.make(session, "main", "user:1", body)
        store.sign(session, "main", made.id, 1, "user:2", pins)
    with database.reading() as session:
        (active,) = store.active_rules(session)
    decisions.begin_plan(database, active, "0" * 64)
    decisions.begin_plan(database, active, "0" * 64)
    assert not decisions.planned(database, ["0" * 64])
    decision = decisions.Decision("main", "1.2.3", Outcome.PLANNED, plan_id="p1")
    decisions.end_plan(database, active, "0" * 64, decision)
    decisions.end_plan(database, active, "0" * 64, decision)
    assert decisions.planned(database, ["0" * 64]) == {"0" * 64}
    refused = decisions.Decision("main", "1.2.4", Outcome.REFUSED, ("Because.",))
    decisions.write(database, active, refused)
    decisions.write(database, active, refused)
    with database.writing() as session:
        page = decisions.page(session, "main", 10, rule_id=made.id)
        told = [(one.outcome, one.study_instance_uid) for one in page.items]
        assert sorted(told) == [("planned", "1.2.3"), ("refused", "1.2.4")]
        assert not decisions.page(session, "elsewhere", 10).items
        decisions.forget_study(session, "1.2.3")
        assert len(decisions.page(session, "main", 10).items) == 1
