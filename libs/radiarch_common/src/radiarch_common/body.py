"""How a body outline is made from the CT where none was drawn."""

from pydantic import Field

from radiarch_common.base import Model


class BodyFromCt(Model):
    """BODY as the largest connected part of the CT above a threshold, used only where none was drawn.

    Parts thinner than twice ``opening_mm`` in an axial slice are taken for couch, mask and clothes, and left out.
    """

    threshold_hu: float = Field(ge=-900.0, le=0.0, description="Voxels above it may be inside; -300 is usual.")
    opening_mm: float = Field(
        default=5.0, ge=0.0, le=20.0, description="Half the thickness up to which parts are cut away."
    )
