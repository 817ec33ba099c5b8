"""An erasure asked for by who runs the server; a running gateway does it."""

import time
from collections.abc import Callable

from radiarch_common.pacs import open_pacs
from radiarch_common.settings import Settings

from radiarch_gateway.db import Database
from radiarch_gateway.erasures.models import ErasureRequest, ErasureRow, ErasureState, ErasureView, erasure_view
from radiarch_gateway.erasures.store import ask, refuse_what_cannot_be_removed

BY_CONSOLE = "console"
LOOK_EVERY_S = 0.5


def erase(
    settings: Settings, clinic_id: str, request: ErasureRequest, *, wait_s: float, told: Callable[[ErasureView], None]
) -> ErasureView:
    """Ask for an erasure in the database of ``settings``, and wait for a gateway to do it.

    ``told`` is called with every change; the view that is returned may be of an erasure that is not done yet.

    Raises
    ------
    MissingError
        If the clinic has no such plan.
    InvalidRequestError
        If a PACS cannot remove anything although that was asked for.
    """
    if request.pacs:
        refuse_what_cannot_be_removed({name: pacs.can_remove for name, pacs in open_pacs(settings).items()})
    database = Database(settings.database_url)
    try:
        with database.writing() as session:
            view = erasure_view(ask(session, clinic_id, BY_CONSOLE, request))
        told(view)
        end = time.monotonic() + wait_s
        while view.state is not ErasureState.DONE and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
            with database.reading() as session:
                seen = erasure_view(session.get_one(ErasureRow, view.id))
            if seen != view:
                told(seen)
            view = seen
    finally:
        database.close()
    return view
