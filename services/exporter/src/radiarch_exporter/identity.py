"""UIDs of what is exported: a pure function of job and result, so that a second attempt makes the same objects.

References
----------
DICOM PS3.5 B.2 (UUID derived UIDs).
"""

import uuid
from dataclasses import dataclass
from typing import Self

_NAMESPACE = uuid.UUID("068a254b-5151-487f-8e98-8681a6c9f944")
IMPLEMENTATION_CLASS_UID = "2.25.233610335773850669284572666261890174952"
IMPLEMENTATION_VERSION_NAME = "RADIARCH_1"


@dataclass(frozen=True)
class Identity:
    """UIDs of the RT Ion Plan and the RT Dose of one result, each in a series of its own."""

    plan_uid: str
    plan_series_uid: str
    dose_uid: str
    dose_series_uid: str

    @classmethod
    def of(cls, job_id: str, result_digest: str) -> Self:
        """The UIDs of this result of this job; another result of the same job has others."""

        def uid(role: str) -> str:
            return f"2.25.{uuid.uuid5(_NAMESPACE, f'{job_id}/{result_digest}/{role}').int}"

        return cls(uid("plan"), uid("plan series"), uid("dose"), uid("dose series"))
