"""Cases in the object store: whose they are, and taken away."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from radiarch_common.cache_keys import erase_work
from radiarch_common.errors import UnavailableError
from radiarch_common.objects import ObjectMissingError, ObjectStore

from radiarch_gateway.erasures.store import KnownCase

CASES = "cases/"
INDEX = "case-index/"
MANIFEST = "/case.json"
_PATIENT_ID = "00100020"


class _Head(BaseModel):
    """What is read of a ``case.json`` of any layout."""

    study_instance_uid: str
    header: dict[str, Any] = Field(default_factory=dict)


class _Note(BaseModel):
    """What an importer notes of the instances that a case was made of."""

    case_key: str


def known_cases(objects: ObjectStore) -> Iterator[KnownCase]:
    """Every whole case, and whose it is. Reads every ``case.json``. Raises UnavailableError."""
    for entry in objects.entries(CASES):
        if entry.key.endswith(MANIFEST) and (found := known_case(objects, entry.key.removesuffix(MANIFEST))):
            yield found


def known_case(objects: ObjectStore, key: str) -> KnownCase | None:
    """One case; ``None`` when it is not there. Raises UnavailableError, also when nobody can tell whose it is."""
    try:
        head = _Head.model_validate_json(objects.get(f"{key}{MANIFEST}"))
    except ObjectMissingError:
        return None
    except ValidationError as error:
        raise UnavailableError(f"{key}{MANIFEST} in the object store, which cannot be read") from error
    values = head.header.get(_PATIENT_ID, {}).get("Value") or [""]
    return KnownCase(key, head.study_instance_uid, str(values[0]).strip())


def erase_cases(objects: ObjectStore, keys: Sequence[str]) -> None:
    """Remove cases with all that was derived from them: engine work, and the notes of importers.

    A case that was begun to be removed is no case any more: ``case.json`` goes first. Raises UnavailableError.
    """
    for key in keys:
        objects.delete(f"{key}{MANIFEST}")
    erase_work(objects, [key.rpartition("/")[2] for key in keys])
    for key in keys:
        objects.delete_below(key)
    for note in [entry.key for entry in objects.entries(INDEX)]:
        if _noted(objects, note) in keys:
            objects.delete(note)


def _noted(objects: ObjectStore, note: str) -> str | None:
    try:
        return _Note.model_validate_json(objects.get(note)).case_key
    except (ObjectMissingError, ValidationError):  # it leads to no case
        return None
