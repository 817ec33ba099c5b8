"""Dose-volume metrics by their grammar.

Gy means Gy(RBE), sum of all fractions.

=================================  ==================================================================
``D95%[Gy] D0.1cc[Gy]``            dose that the hottest 95 % (0.1 cm3) of the volume receive at least
``V20Gy[%] V50Gy[cc]``             volume that receives at least 20 (50) Gy
``DC95%[Gy] DC0.1cc[Gy]``          dose that the coldest 95 % (0.1 cm3) receive at most: D at the complement volume
``CV10Gy[%] CV10Gy[cc]``           volume that receives less than 10 Gy: what V10Gy leaves of the structure
``Mean[Gy] Max[Gy] Min[Gy]``       over the whole structure
=================================  ==================================================================

References
----------
ICRU Report 83 (2010), 3.4.2, for D and V. Mayo et al., Pract. Radiat. Oncol. 6 (2016) e117, and AAPM TG-263 (2018)
for the spelling, and for the complements DC and CV of clinical goal sheets ("at least 700 cm3 below 15 Gy").
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

Kind = Literal["D", "V", "DC", "CV", "Mean", "Max", "Min"]

_NUMBER = r"(\d+(?:\.\d+)?)"
_GRAMMAR = re.compile(rf"(DC?){_NUMBER}(%|cc)\[Gy\]|(C?V){_NUMBER}Gy\[(%|cc)\]|(Mean|Max|Min)\[Gy\]")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    text
        As it was asked for.
    kind
        Dose at a volume, volume at a dose, the complement of either, or a statistic of the dose.
    at
        The volume (D, DC) or the dose in Gy(RBE) (V, CV) it is taken at; 0 for statistics.
    unit
        ``%`` or ``cc``: of ``at`` for D and DC, of the value for V and CV; ``Gy`` for statistics.
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
                "Write it like D95%[Gy], D0.1cc[Gy], V20Gy[%], V50Gy[cc], DC95%[Gy], CV10Gy[cc], Mean[Gy], Max[Gy] or "
                "Min[Gy].",
            )
        dose, dose_at, dose_unit, volume, volume_at, volume_unit, statistic = found.groups()
        if statistic:
            return cls(text, cast(Kind, statistic), 0.0, "Gy")
        if volume:
            return cls(text, cast(Kind, volume), float(volume_at), cast(Literal["%", "cc"], volume_unit))
        metric = cls(text, cast(Kind, dose), float(dose_at), cast(Literal["%", "cc"], dose_unit))
        if metric.unit == "%" and metric.at > 100:
            raise RefusedError(f"'{text}' asks for more than 100 % of a structure.", "Ask for 100 % at most.")
        return metric

    def volume_cc(self, whole_cc: float) -> float:
        """The volume that a D or DC metric is taken at, cm3, for a structure of ``whole_cc``."""
        return self.at / 100 * whole_cc if self.unit == "%" else self.at

    def evaluate(self, dose: CumulativeDose) -> float:
        """Its value: Gy(RBE), percent or cm3, as ``text`` says.

        A dose at a volume that the structure does not have is its minimum dose (D) or its maximum (DC).
        """
        whole = dose.volume_cc
        if self.kind in ("D", "DC"):
            asked = self.volume_cc(whole)
            return dose.dose_at_cc(asked if self.kind == "D" else max(whole - asked, 0.0))
        if self.kind in ("V", "CV"):
            above = dose.volume_at_cc(self.at)
            volume_cc = above if self.kind == "V" else whole - above
            return 100 * volume_cc / whole if self.unit == "%" else volume_cc
        return {"Mean": dose.mean_gy_rbe, "Max": dose.maximum_gy_rbe, "Min": dose.minimum_gy_rbe}[self.kind]
