"""An entry as FHIR's AuditEvent, release 4. Pure."""

from datetime import UTC
from typing import Any, Final

from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.version import VERSION

MEDIA_TYPE: Final = "application/fhir+ndjson"

_CODES: Final = "http://terminology.hl7.org/CodeSystem"
_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_OURS: Final = "urn:radiarch:audit"
_REST: Final = {"system": f"{_CODES}/audit-event-type", "code": "rest", "display": "RESTful Operation"}
_LOGIN: Final = {"system": _DICOM, "code": "110114", "display": "User Authentication"}
_SERVER: Final = {"system": f"{_CODES}/security-source-type", "code": "4", "display": "Application Server"}
_PEOPLE: Final = frozenset({"user", "username", "clinic"})
_OF_LOGINS: Final = ("login", "logged")
"""How the operations of logins begin."""


def audit_event(row: AuditRow) -> dict[str, Any]:
    """The resource. Sequence and hashes are extensions of it, so that an export can be checked too.

    References
    ----------
    https://hl7.org/fhir/R4/auditevent.html
    """
    entities = [_entity("study", row.study)] if row.study else []
    entities += [_entity(entity["kind"], entity["hash"]) for entity in row.entities]
    agent: dict[str, Any] = {
        "who": {"identifier": {"system": f"{_OURS}:actor", "value": row.actor}},
        "requestor": True,
    }
    source: dict[str, Any] = {"observer": {"display": f"Radiarch gateway {VERSION}"}, "type": [_SERVER]}
    if row.clinic_id is not None:
        source["site"] = row.clinic_id
    found: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": str(row.sequence),
        "extension": [
            {"url": f"{_OURS}:sequence", "valueString": str(row.sequence)},
            {"url": f"{_OURS}:previous-hash", "valueString": row.previous_hash},
            {"url": f"{_OURS}:hash", "valueString": row.hash},
        ],
        "type": _LOGIN if row.operation.startswith(_OF_LOGINS) else _REST,
        "subtype": [{"system": f"{_OURS}:operation", "code": row.operation}],
        "action": row.action,
        "recorded": row.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "outcome": row.outcome,
        "agent": [agent],
        "source": source,
    }
    if row.status is not None:
        found["outcomeDesc"] = f"HTTP {row.status}"
    return found | ({"entity": entities} if entities else {})


def _entity(kind: str, keyed_hash: str) -> dict[str, Any]:
    role = ("1", "Person") if kind in _PEOPLE else ("2", "System Object")
    return {
        "what": {"identifier": {"system": f"{_OURS}:keyed-hash", "value": keyed_hash}},
        "type": {"system": f"{_CODES}/audit-entity-type", "code": role[0], "display": role[1]},
        "detail": [{"type": "kind", "valueString": kind}],
    }
