"""The chain of the audit log by itself: whatever is done to it afterwards is found."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from radiarch_gateway.audit.chain import BrokenChainError, Head, seal, walk
from radiarch_gateway.audit.models import AuditRow


def _log(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    head = Head()
    for number in range(1, length + 1):
        row = AuditRow(
            sequence=number,
            at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
            actor=f"user:{number}",
            action="R",
            operation="GET /plans/{plan_id}",
            outcome="0",
            entities=[{"kind": "plan", "hash": "a" * 64}],
            previous_hash=head.hash,
        )
        row.hash = seal(row.model_dump())
        rows.append(row)
        head = Head(number, row.hash)
    return rows


def _changed(rows: list[AuditRow]) -> list[AuditRow]:
    rows[2].actor = "user:somebody else"
    return rows


def _changed_and_sealed(rows: list[AuditRow]) -> list[AuditRow]:
    rows[2].actor = "user:somebody else"
    rows[2].hash = seal(rows[2].model_dump())
    return rows


def _put_between(rows: list[AuditRow]) -> list[AuditRow]:
    rows.insert(2, AuditRow.model_validate(rows[2].model_dump()))
    rows[2].actor = "user:never was"
    rows[2].hash = seal(rows[2].model_dump())
    return rows


def _removed(rows: list[AuditRow]) -> list[AuditRow]:
    return rows[:2] + rows[3:]


def _first_removed(rows: list[AuditRow]) -> list[AuditRow]:
    return rows[1:]


def _swapped(rows: list[AuditRow]) -> list[AuditRow]:
    return [rows[0], rows[2], rows[1], *rows[3:]]


@pytest.mark.parametrize(
    ("tampered", "first_wrong"),
    [
        (_changed, 3),
        (_changed_and_sealed, 4),
        (_put_between, 4),
        (_removed, 3),
        (_first_removed, 1),
        (_swapped, 2),
    ],
)
def test_tampering_is_found_where_it_begins(
    tampered: Callable[[list[AuditRow]], list[AuditRow]], first_wrong: int
) -> None:
    """Fails when any field of an entry is left out of its hash, or an entry need not follow the one before."""
    assert walk(_log(5)) == Head(5, _log(5)[-1].hash)
    with pytest.raises(BrokenChainError) as broken:
        walk(tampered(_log(5)))
    assert broken.value.sequence == first_wrong


@pytest.mark.parametrize("name", sorted(set(AuditRow.model_fields) - {"hash"}))
def test_the_hash_covers_every_field(name: str) -> None:
    """A column that is added and not sealed could be changed unseen."""
    (row,) = _log(1)
    others = {"sequence": 2, "at": row.at + timedelta(microseconds=1), "status": 200, "entities": []}
    setattr(row, name, others.get(name, "other"))
    assert seal(row.model_dump()) != row.hash


def test_a_cut_off_end_and_a_log_written_anew_need_a_noted_head() -> None:
    """A chain is consistent from its start to any entry; only who noted a later one knows better."""
    rows = _log(5)
    noted = Head(5, rows[-1].hash)
    assert walk(rows[:3]).sequence == 3
    with pytest.raises(BrokenChainError) as cut:
        walk(rows[:3], noted)
    assert cut.value.sequence == 4
    with pytest.raises(BrokenChainError, match="not the entry that was noted"):
        walk(rows, Head(5, "f" * 64))
    assert walk(rows, noted) == noted
