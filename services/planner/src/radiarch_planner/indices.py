"""Indices of a plan: how even the dose in the target is, how well it fits, how steeply it falls.

They are read from the same cumulative histograms as the DVH, of the target and of BODY, so that they have its
resolution and not the dose grid's.
"""

from radiarch_common.plans import Prescription
from radiarch_common.quality import PlanIndices

from radiarch_planner.cumulative import CumulativeDose


def indices_of(prescription: Prescription, target: CumulativeDose, body: CumulativeDose | None) -> PlanIndices:
    """Homogeneity, conformity and gradient; see ``PlanIndices`` for each formula and its source.

    Parameters
    ----------
    target
        Dose of the prescription's target, Gy(RBE).
    body
        Dose of BODY, which holds the target; without it there are no volumes of isodoses.
    """
    wanted = prescription.dose_gy_rbe
    isodose = body.volume_at_cc(wanted) if body else None
    half = body.volume_at_cc(wanted / 2) if body else None
    return PlanIndices(
        target=prescription.target,
        prescription_gy_rbe=wanted,
        target_cc=target.volume_cc,
        covered_cc=target.volume_at_cc(wanted),
        isodose_cc=isodose,
        half_isodose_cc=half,
        homogeneity=homogeneity(target),
        conformity=conformity(target, body, wanted),
        conformity_95=conformity(target, body, 0.95 * wanted),
        gradient=half / isodose if isodose and half is not None else None,
    )


def homogeneity(target: CumulativeDose) -> float | None:
    """(D2% - D98%) / D50%, 0 for an even dose; ``None`` without a median dose.

    References
    ----------
    ICRU Report 83 (2010), 3.7.1.
    """
    high, median, low = (target.dose_at_cc(share * target.volume_cc) for share in (0.02, 0.50, 0.98))
    return (high - low) / median if median > 0 else None


def conformity(target: CumulativeDose, body: CumulativeDose | None, dose_gy_rbe: float) -> float | None:
    """Paddick's index of an isodose, TV_PIV^2 / (TV x PIV): 1 when it is the target; ``None`` when it is nowhere.

    References
    ----------
    Paddick, J. Neurosurg. 93 Suppl. 3 (2000) 219.
    """
    isodose_cc = body.volume_at_cc(dose_gy_rbe) if body else 0.0
    return target.volume_at_cc(dose_gy_rbe) ** 2 / (target.volume_cc * isodose_cc) if isodose_cc > 0 else None
