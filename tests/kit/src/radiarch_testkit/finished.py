"""A plan that was finished, as its exporter leaves it: three files, small and well-formed."""

import hashlib
import json
from typing import Any

from radiarch_common.objects import FolderStore

from radiarch_testkit.gateway import StageHand

DVH: dict[str, Any] = {
    "kind": "cumulative",
    "curves": [{"structure": "PTV", "volume_cc": 100.5, "metrics": {"D95%[Gy]": 58.25}}],
}
REPORT: dict[str, Any] = {
    "goals": [
        {
            "goal": {"structure": "PTV", "metric": "D95%[Gy]", "op": ">=", "value": 59.0, "limit": 57.0, "priority": 2},
            "achieved": 58.25,
            "met": False,
            "verdict": "acceptable",
        }
    ],
    "beam_statistics": [],
    "uncertainty": {"percent": 1.2, "voxels": "PTV", "batches": 12},
    "warnings": {"request": [], "case": ["Thick slices."], "planner": []},
}
DOSE = b"dose" * 1000
FILES = {
    "RTDOSE.dcm": ("RTDOSE", "application/dicom", DOSE),
    "dvh.json": ("DVH", "application/json", json.dumps(DVH).encode()),
    "plan.json": ("REPORT", "application/json", json.dumps(REPORT).encode()),
}


async def finish(stage_hand: StageHand, objects: FolderStore, job_id: str) -> None:
    """Play a job's stages to the end."""
    await stage_hand.say(job_id, "planner", "started")
    await stage_hand.say(job_id, "planner", "progress", progress=0.5, message="beamlets: 3 of 6")
    await stage_hand.say(job_id, "exporter", "started")
    artifacts: list[dict[str, Any]] = []
    for name, (kind, media_type, data) in FILES.items():
        key = f"artifacts/{job_id}/{name}"
        objects.put(key, data)
        artifacts.append(
            {
                "name": name,
                "kind": kind,
                "media_type": media_type,
                "key": key,
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_bytes": len(data),
            }
        )
    await stage_hand.say(job_id, "exporter", "finished", artifacts=artifacts)
