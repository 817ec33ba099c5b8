"""Structures that are calculated with a density of their own instead of the CT's."""

from pydantic import Field

from radiarch_common.base import Model, Name


class DensityOverride(Model):
    """A structure (contrast, artefact, couch, bolus) that is given one HU; where two overlap the later one holds.

    It acts wherever it lies: outside the body outline, where all else is air, the beams go through it. Dose is given
    out inside the body outline alone.
    """

    structure: Name = Field(description="Drawn or derived; `{target}` and `{body}` stand for target and body outline.")
    hu: float = Field(ge=-1024.0, le=30000.0, description="Within what the CT calibration was measured for.")
