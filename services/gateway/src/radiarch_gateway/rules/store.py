"""Rules in the database: made, found, changed by a new version, signed, put to rest. Blocking."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from radiarch_common.messages import utc_now
from sqlmodel import Session, col, func, select

from radiarch_gateway.auth.models import ClinicRow
from radiarch_gateway.errors import ConflictError, MissingError
from radiarch_gateway.plans.store import new_id
from radiarch_gateway.rules.body import RuleBody
from radiarch_gateway.rules.models import RuleRow, RuleSignatureRow, RuleVersionRow
from radiarch_gateway.rules.views import Pins, RulePage, RuleSummary, RuleView, SignatureView, VersionView


@dataclass(frozen=True)
class ActiveRule:
    """A signed version that plans."""

    id: str
    version: int
    clinic_id: str
    body: RuleBody
    pinned: Pins
    signed_at: datetime

    @property
    def asked_by(self) -> str:
        """Who asked for its plans."""
        return f"rule:{self.id}@{self.version}"


def make(session: Session, clinic_id: str, by: str, body: RuleBody) -> RuleView:
    """A new rule with its first version, which rests until it is signed."""
    now = utc_now()
    rule = RuleRow(id=new_id(now), clinic_id=clinic_id, created_at=now, created_by=by)
    session.add(rule)
    session.flush()
    _add_version(session, rule, 1, by, body)
    return view(session, rule)


def change(session: Session, clinic_id: str, rule_id: str, by: str, body: RuleBody) -> RuleView:
    """A new version, which rests until it is signed; until then the version that was signed goes on."""
    rule = find(session, clinic_id, rule_id, to_change=True)
    _add_version(session, rule, _latest(session, rule_id) + 1, by, body)
    return view(session, rule)


def version_of(session: Session, clinic_id: str, rule_id: str, version: int) -> RuleVersionRow:
    """One version of a clinic's rule. Raises MissingError."""
    find(session, clinic_id, rule_id)
    row = session.get(RuleVersionRow, (rule_id, version))
    if row is None:
        raise MissingError("version of this rule", str(version))
    return row


def sign(session: Session, clinic_id: str, rule_id: str, version: int, by: str, pinned: Pins) -> RuleView:
    """Sign a version: it is the one that plans from now on. Raises MissingError, ConflictError."""
    rule = find(session, clinic_id, rule_id, to_change=True)
    row = version_of(session, clinic_id, rule_id, version)
    last = _signature(session, rule_id, version)
    if rule.active_version == version and last is not None and Pins.model_validate(last.pinned) == pinned:
        raise ConflictError("This version is signed and active already.")
    now = utc_now()
    session.add(
        RuleSignatureRow(
            id=new_id(now),
            rule_id=rule_id,
            version=version,
            sha256=row.sha256,
            pinned=pinned.model_dump(mode="json"),
            signed_at=now,
            signed_by=by,
        )
    )
    rule.active_version, rule.deactivated_at, rule.deactivated_by = version, None, None
    session.flush()
    return view(session, rule)


def deactivate(session: Session, clinic_id: str, rule_id: str, by: str) -> RuleView:
    """Put a rule to rest; asked again, nothing changes. Raises MissingError."""
    rule = find(session, clinic_id, rule_id, to_change=True)
    if rule.deactivated_at is None:
        rule.active_version, rule.deactivated_at, rule.deactivated_by = None, utc_now(), by
        session.flush()
    return view(session, rule)


def find(session: Session, clinic_id: str, rule_id: str, *, to_change: bool = False) -> RuleRow:
    """One rule of a clinic; another's is as good as missing. Raises MissingError."""
    rule = session.get(RuleRow, rule_id, with_for_update=True if to_change else None)
    if rule is None or rule.clinic_id != clinic_id:
        raise MissingError("rule", rule_id)
    return rule


def page(session: Session, clinic_id: str) -> RulePage:
    """Every rule of a clinic, newest first: there are few."""
    rules = session.exec(select(RuleRow).where(RuleRow.clinic_id == clinic_id).order_by(col(RuleRow.id).desc())).all()
    return RulePage(items=[_summary(session, rule) for rule in rules])


def count_active(session: Session, clinic_id: str) -> int:
    """How many rules of a clinic plan."""
    condition = (RuleRow.clinic_id == clinic_id, col(RuleRow.active_version).is_not(None))
    return session.exec(select(func.count()).select_from(RuleRow).where(*condition)).one()


def active_rules(session: Session) -> list[ActiveRule]:
    """The rules that plan now, of every clinic that is active, oldest first."""
    statement = (
        select(RuleRow, RuleVersionRow)
        .join(RuleVersionRow, col(RuleVersionRow.rule_id) == RuleRow.id)
        .join(ClinicRow)
        .where(col(RuleVersionRow.version) == RuleRow.active_version, ClinicRow.active)
        .order_by(col(RuleRow.id))
    )
    found: list[ActiveRule] = []
    for rule, version in session.exec(statement).all():
        signature = _signature(session, rule.id, version.version)
        if signature is not None and signature.sha256 == version.sha256 == digest(version.body):
            found.append(
                ActiveRule(
                    id=rule.id,
                    version=version.version,
                    clinic_id=rule.clinic_id,
                    body=RuleBody.model_validate(version.body),
                    pinned=Pins.model_validate(signature.pinned),
                    signed_at=signature.signed_at,
                )
            )
    return found


def digest(body: dict[str, Any]) -> str:
    """SHA-256 of what a rule says, the same in any order of fields."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def view(session: Session, rule: RuleRow) -> RuleView:
    """A rule whole."""
    versions = session.exec(
        select(RuleVersionRow).where(RuleVersionRow.rule_id == rule.id).order_by(col(RuleVersionRow.version))
    ).all()
    signatures = session.exec(
        select(RuleSignatureRow).where(RuleSignatureRow.rule_id == rule.id).order_by(col(RuleSignatureRow.id))
    ).all()
    shown = [_version(version, [s for s in signatures if s.version == version.version]) for version in versions]
    return RuleView(**_summary(session, rule).model_dump(), versions=shown)


def _version(row: RuleVersionRow, signatures: list[RuleSignatureRow]) -> VersionView:
    return VersionView(
        version=row.version,
        body=row.body,
        sha256=row.sha256,
        created_at=row.created_at,
        created_by=row.created_by,
        signatures=[SignatureView.model_validate(one.model_dump()) for one in signatures],
    )


def _summary(session: Session, rule: RuleRow) -> RuleSummary:
    latest = session.get_one(RuleVersionRow, (rule.id, _latest(session, rule.id)))
    return RuleSummary(title=str(latest.body["title"]), latest_version=latest.version, **rule.model_dump())


def _latest(session: Session, rule_id: str) -> int:
    return session.exec(select(func.max(RuleVersionRow.version)).where(RuleVersionRow.rule_id == rule_id)).one() or 0


def _signature(session: Session, rule_id: str, version: int) -> RuleSignatureRow | None:
    statement = (
        select(RuleSignatureRow)
        .where(RuleSignatureRow.rule_id == rule_id, RuleSignatureRow.version == version)
        .order_by(col(RuleSignatureRow.id).desc())
        .limit(1)
    )
    return session.exec(statement).first()


def _add_version(session: Session, rule: RuleRow, version: int, by: str, body: RuleBody) -> None:
    said = body.model_dump(mode="json", exclude_unset=True)
    session.add(
        RuleVersionRow(
            rule_id=rule.id,
            version=version,
            body=said,
            sha256=digest(said),
            created_at=utc_now(),
            created_by=by,
        )
    )
    session.flush()
