"""Dose-volume metrics by their grammar: ``D95%[Gy] D0.1cc[Gy] V20Gy[%] V50Gy[cc] Mean[Gy] Max[Gy] Min[Gy]``.

Gy means Gy(RBE), sum of all fractions. ``D95%`` is what the hottest 95 % of the volume receive at least;
``V20Gy`` is the volume that receives at least 20 Gy (ICRU 83).
"""

import re
from dataclasses import dataclass
from typing import Literal, cast

from radiarch_common.errors import RefusedError

from radiarch_planner.cumulative import CumulativeDose

DEFAULT_METRICS = (
    "D99%[Gy]",
    "D98%[Gy]",
    "D95%[Gy]",
    "D50%[Gy]",
    "D5%[Gy]",
    "D2%[Gy]",
    "Mean[Gy]",
    "Max[Gy]",
    "Min[Gy]",
)
"""What every structure's DVH gives."""

Kind = Literal["D", "V", "Mean", "Max", "Min"]

_NUMBER = r"(\d+(?:\.\d+)?)"
_GRAMMAR = re.compile(rf"D{_NUMBER}(%|cc)\[(Gy)\]|V{_NUMBER}Gy\[(%|cc)\]|(Mean|Max|Min)\[Gy\]")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    text
        As it was asked for.
    kind
        Dose at a volume, volume at a dose, or a statistic of the dose.
    at
        The volume (D) or the dose in Gy(RBE) (V) it is taken at; 0 for statistics.
    unit
        ``%`` or ``cc``: of ``at`` for D, of the value for V; ``Gy`` for statistics.
    """

    text: str
    kind: Kind
    at: float
    unit: Literal["%", "cc", "Gy"]

    @classmethod
    def parse(cls, text: str) -> "Metric":
        """Read a metric. Raises RefusedError that tells the grammar."""
        found = _GRAMMAR.fullmatch(text)
        if found is None:
            raise RefusedError(
                f"'{text}' is no dose-volume metric.",
                "Write it like D95%[Gy], D0.1cc[Gy], V20Gy[%], V50Gy[cc], Mean[Gy], Max[Gy] or Min[Gy].",
            )
        dose_at, dose_unit, _, volume_at, volume_unit, statistic = found.groups()
        if statistic:
            return cls(text, cast(Kind, statistic), 0.0, "Gy")
        if volume_at:
            return cls(text, "V", float(volume_at), cast(Literal["%", "cc"], volume_unit))
        metric = cls(text, "D", float(dose_at), cast(Literal["%", "cc"], dose_unit))
        if metric.unit == "%" and metric.at > 100:
            raise RefusedError(f"'{text}' asks for more than 100 % of a structure.", "Ask for 100 % at most.")
        return metric

    def volume_cc(self, whole_cc: float) -> float:
        """The volume that a D metric is taken at, cm3, for a structure of ``whole_cc``."""
        return self.at / 100 * whole_cc if self.unit == "%" else self.at

    def evaluate(self, dose: CumulativeDose) -> float:
        """Its value: Gy(RBE), percent or cm3, as ``text`` says.

        A dose at a volume that the structure does not have is its minimum dose.
        """
        if self.kind == "D":
            return dose.dose_at_cc(self.volume_cc(dose.volume_cc))
        if self.kind == "V":
            volume_cc = dose.volume_at_cc(self.at)
            return 100 * volume_cc / dose.volume_cc if self.unit == "%" else volume_cc
        return {"Mean": dose.mean_gy_rbe, "Max": dose.maximum_gy_rbe, "Min": dose.minimum_gy_rbe}[self.kind]
