"""Where jobs stand in the queues, as far as the bus tells who works on them."""

from collections.abc import Iterable

from radiarch_common.errors import UnavailableError
from radiarch_common.messages import StageName
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.jobs.models import stage_name
from radiarch_gateway.jobs.queue import Place
from radiarch_gateway.jobs.waiting import waiting_places


async def places_in(gateway: Gateway, queues: Iterable[str | None]) -> dict[str, Place]:
    """The place of each job in these stages' queues."""
    stages: set[StageName] = {stage_name(queue) for queue in queues if queue is not None}
    if not stages:
        return {}
    try:
        workers = await gateway.link.workers()
    except UnavailableError:
        workers = {}
    return await run_in_threadpool(waiting_places, gateway.database, stages, workers)
