"""Structures that are calculated with a density of their own instead of the CT's."""

from typing import Self

from pydantic import Field, model_validator

from radiarch_common.base import Model, Name


class DensityOverride(Model):
    """A structure (contrast, artefact, couch, bolus) that is given one HU or mass density.

    Where two overlap the later one holds. It acts wherever it lies: outside the body outline, where all else is air,
    the beams go through it. Dose is given out inside the body outline alone.
    """

    structure: Name = Field(description="Drawn or derived; `{target}` and `{body}` stand for target and body outline.")
    hu: float | None = Field(
        default=None, ge=-1024.0, le=30000.0, description="Within what the CT calibration was measured for."
    )
    mass_density_g_cm3: float | None = Field(
        default=None,
        gt=0.0,
        le=25.0,
        description="Instead of `hu`: the HU to which the CT calibration gives this density, and so its material too.",
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if (self.hu is None) == (self.mass_density_g_cm3 is None):
            raise ValueError("a density override needs either hu or mass_density_g_cm3")
        return self
