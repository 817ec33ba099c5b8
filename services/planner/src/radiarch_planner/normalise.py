"""Normalisation: the factor that gives the target what its prescription says."""

import re

from radiarch_common.errors import RefusedError
from radiarch_common.plans import Prescription

from radiarch_planner.cumulative import CumulativeDose
from radiarch_planner.metrics import Metric

_GRAMMAR = re.compile(r"(D\d+(?:\.\d+)?%|Mean) = (\d+(?:\.\d+)?) %")


def scale_for(prescription: Prescription, target: CumulativeDose) -> float:
    """The factor on the dose (and on every MU) that fulfils the prescription's normalisation.

    Parameters
    ----------
    target
        Dose in the target as it is, Gy(RBE), sum of all fractions.

    Returns
    -------
    1 when the normalisation is ``none``.

    Raises
    ------
    RefusedError
        If the target receives no dose at what the normalisation looks at.
    """
    if prescription.normalisation == "none":
        return 1.0
    found = _GRAMMAR.fullmatch(prescription.normalisation)
    if found is None:
        raise RefusedError(
            f"'{prescription.normalisation}' is no normalisation.",
            "Write it like 'D50% = 100 %', 'Mean = 100 %', 'none'.",
        )
    metric = Metric.parse(f"{found[1]}[Gy]")
    achieved = metric.evaluate(target)
    if achieved <= 1e-3 * prescription.dose_gy_rbe:
        raise RefusedError(
            f"The plan gives the target '{prescription.target}' no dose to normalise: {metric.text} is {achieved:.3g}.",
            "Look whether its beams reach the target, and whether its objectives ask for dose there.",
        )
    return float(found[2]) / 100 * prescription.dose_gy_rbe / achieved
