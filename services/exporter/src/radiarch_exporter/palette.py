"""Colours of the picture, and which dose has which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.patheffects import AbstractPathEffect, Stroke, withStroke

PANEL = "#000000"
TEXT = "#f0f3f6"
"""On panels, which are black on screen and on paper."""
BODY = "#7ee0ff"
TARGET = "#ff4fd8"

DPI = 130.0
TITLE_PX = 64.0
# Room for the numbers of an axis left of a panel, and at the right edge.
LEFT_PX, EDGE_PX = 88.0, 24.0
_THRESHOLD = 0.10
_LINE = 0.95
_OPACITY = 0.55
# Without its two dark ends, which a half-transparent wash turns into mud.
WASH: Colormap = ListedColormap(colormaps["turbo"](np.linspace(0.09, 0.94, 256)), name="wash")


@dataclass(frozen=True)
class Theme:
    """Colours around the panels: ``good``, ``fair`` and ``warning`` for what is met, acceptable and missed."""

    background: str
    text: str
    dim: str
    good: str
    fair: str
    warning: str

    def of_verdict(self, verdict: str) -> str:
        """The colour of a goal's verdict."""
        return {"met": self.good, "acceptable": self.fair}.get(verdict, self.warning)


SCREEN = Theme("#0d1117", TEXT, "#9aa7b4", good="#56d364", fair="#e3b341", warning="#ff7b72")
PAPER = Theme("#ffffff", "#16202a", "#5b6875", good="#1a7f37", fair="#9a6700", warning="#b42318")


@dataclass(frozen=True)
class DoseScale:
    """From dose to colour.

    Attributes
    ----------
    threshold_gy_rbe
        Below it the CT is seen bare: 10 % of the prescription.
    line_gy_rbe
        Where the dashed isodose is drawn: 95 % of the prescription.
    top_gy_rbe
        The last colour: the highest dose, or the prescription where that is more.
    """

    prescription_gy_rbe: float
    threshold_gy_rbe: float
    line_gy_rbe: float
    highest_gy_rbe: float
    top_gy_rbe: float

    @classmethod
    def of(cls, highest_gy_rbe: float, prescription_gy_rbe: float) -> Self:
        """The scale of a dose distribution with this maximum and prescription."""
        return cls(
            prescription_gy_rbe=prescription_gy_rbe,
            threshold_gy_rbe=_THRESHOLD * prescription_gy_rbe,
            line_gy_rbe=_LINE * prescription_gy_rbe,
            highest_gy_rbe=highest_gy_rbe,
            top_gy_rbe=max(highest_gy_rbe, prescription_gy_rbe),
        )

    @property
    def norm(self) -> Normalize:
        """From dose to 0..1 along the colour map."""
        return Normalize(self.threshold_gy_rbe, self.top_gy_rbe, clip=True)

    def wash(self, dose_gy_rbe: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Colours of a plane: shape (..., 4), RGBA; transparent below the threshold."""
        colours = np.asarray(WASH(self.norm(dose_gy_rbe)), dtype=np.float64)
        colours[..., 3] = np.where(dose_gy_rbe >= self.threshold_gy_rbe, _OPACITY, 0.0)
        return colours


def halo(width: float) -> Sequence[AbstractPathEffect]:
    """A dark rim that keeps lines and letters legible on any colour."""
    rim: Stroke = withStroke(linewidth=width, foreground=(0.0, 0.0, 0.0, 0.75))
    return [rim]
