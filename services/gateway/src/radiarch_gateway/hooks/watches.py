"""The watch over each PACS as users see it."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, Field
from sqlmodel import Session, col, func, select

from radiarch_gateway.hooks.models import ChangedStudyRow, WatchRow
from radiarch_gateway.rules.models import RuleRow


class WatchView(BaseModel):
    """The watch over one PACS."""

    pacs: str
    cursor: int | None = Field(default=None, description="Number of the last change that was read.")
    looked_at: datetime | None = Field(default=None, description="The last look that went through.")
    next_look_at: datetime | None = Field(default=None, description="Without a hint.")
    hinted_at: datetime | None = Field(default=None, description="The last hint that counted; `null`: none ever came.")
    failures: int = Field(default=0, description="Looks that failed since the last good one.")
    last_error: str | None = None
    last_error_at: datetime | None = None
    changed_studies: int = Field(default=0, description="Studies that have changed and were not judged yet.")
    waiting_for: list[str] = Field(default_factory=list, description="What they wait for.")


def watch_views(session: Session, names: Sequence[str]) -> tuple[int, list[WatchView]]:
    """How many rules are active, and the watch over each PACS."""
    active = session.exec(select(func.count()).where(col(RuleRow.active_version).is_not(None))).one()
    return active, [_view(session, name) for name in names]


def _view(session: Session, name: str) -> WatchView:
    row = session.get(WatchRow, name)
    changed = session.exec(select(func.count()).where(ChangedStudyRow.pacs == name)).one()
    whys = session.exec(
        select(ChangedStudyRow.why)
        .where(ChangedStudyRow.pacs == name, col(ChangedStudyRow.why).is_not(None))
        .distinct()
        .limit(10)
    ).all()
    view = WatchView(pacs=name) if row is None else WatchView.model_validate(row.model_dump())
    waiting_for = sorted(why for why in whys if why)
    return view.model_copy(update={"changed_studies": changed, "waiting_for": waiting_for})
