"""What a stage is, and what its attempts reach for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from radiarch_common.bus import Bus
from radiarch_common.messages import Artifact, JobMessage, StageName
from radiarch_common.objects import ObjectStore
from radiarch_common.pacs import Pacs
from radiarch_common.pulse import Pulse
from radiarch_common.run import Run
from radiarch_common.settings import Settings

Outcome = JobMessage | Sequence[Artifact]
"""What a stage's function returns: the next stage's job, or at the end of the line what it left."""


@dataclass(frozen=True)
class StagePlan:
    """What a stage is: its name, its job, who takes over, and the function that does the work."""

    name: StageName
    takes: type[JobMessage]
    gives: StageName | None
    work: Callable[[JobMessage, Run], Outcome]


@dataclass(frozen=True)
class Neighbours:
    """What an attempt reaches for."""

    bus: Bus
    objects: ObjectStore
    pacs: Mapping[str, Pacs]
    settings: Settings
    pulse: Pulse
