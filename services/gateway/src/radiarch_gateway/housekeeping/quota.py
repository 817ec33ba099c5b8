"""No plan is taken when the object store holds more than it may."""

from sqlalchemy import func
from sqlmodel import col, select

from radiarch_gateway.db import Database
from radiarch_gateway.errors import StorageFullError
from radiarch_gateway.housekeeping.models import ObjectUseRow


def refuse_when_full(database: Database, quota_gb: float) -> None:
    """Raise StorageFullError when the last count of the object store is above the quota."""
    with database.reading() as session:
        used_gb = (session.exec(select(func.sum(col(ObjectUseRow.size_bytes)))).one() or 0) / 1e9
    if used_gb > quota_gb:
        raise StorageFullError(
            f"The object store holds {used_gb:.1f} GB, more than its quota of {quota_gb:g} GB: "
            "plans must be erased, or the quota raised."
        )
