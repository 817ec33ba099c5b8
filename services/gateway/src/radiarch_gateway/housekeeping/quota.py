"""No plan is taken when the object store holds more than it may."""

from radiarch_common.settings import Settings
from sqlalchemy import func
from sqlmodel import col, select

from radiarch_gateway.db import Database
from radiarch_gateway.errors import StorageFullError
from radiarch_gateway.housekeeping.models import ObjectUseRow


def refuse_when_full(database: Database, settings: Settings) -> None:
    """Raise StorageFullError when the last count of the object store is above the quota."""
    if settings.objects_quota_gb is None:
        return
    with database.reading() as session:
        used_gb = (session.exec(select(func.sum(col(ObjectUseRow.size_bytes)))).one() or 0) / 1e9
    if used_gb > settings.objects_quota_gb:
        raise StorageFullError(
            f"The object store holds {used_gb:.1f} GB, more than its quota of {settings.objects_quota_gb:g} GB: "
            "plans must be erased, or the quota raised."
        )
