"""Structures that are calculated with a density of their own instead of the CT's."""

from pydantic import Field

from radiarch_common.base import Model, Name


class DensityOverride(Model):
    """A structure (contrast, artefact, couch) that is given one HU; where two overlap the later one holds.

    It acts inside the body outline only: around it the dose is calculated in air.
    """

    structure: Name = Field(description="Drawn or derived; `{target}` and `{body}` stand for target and body outline.")
    hu: float = Field(ge=-1024.0, le=30000.0, description="Within what the CT calibration was measured for.")
