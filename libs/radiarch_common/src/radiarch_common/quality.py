"""What a plan is worth in a few numbers: indices of its dose, and statistics of its beams."""

from pydantic import Field

from radiarch_common.plans import Model


class PlanIndices(Model):
    """Indices of the dose in and around the prescription's target; ``None`` where one is not defined.

    Attributes
    ----------
    target_cc
        Volume of the target, TV.
    covered_cc
        What of it receives at least the prescribed dose, TV_PIV.
    isodose_cc, half_isodose_cc
        Volume inside BODY that receives at least the prescribed dose, PIV, and at least half of it.
    homogeneity
        (D2% - D98%) / D50% of the target; 0 is ideal. ICRU Report 83 (2010), 3.7.1.
    conformity
        TV_PIV^2 / (TV x PIV); 1 is ideal. Paddick, J. Neurosurg. 93 Suppl. 3 (2000) 219. At the full prescribed
        dose: a plan normalised to the median of the target leaves half of it outside.
    conformity_95
        The same at 95 % of the prescribed dose.
    gradient
        Volume of half the prescribed dose over PIV; small is steep. Paddick and Lippitz, J. Neurosurg. 105 Suppl.
        (2006) 194.
    """

    target: str
    prescription_gy_rbe: float
    target_cc: float
    covered_cc: float
    isodose_cc: float | None = None
    half_isodose_cc: float | None = None
    homogeneity: float | None = None
    conformity: float | None = None
    conformity_95: float | None = None
    gradient: float | None = None


class BeamStatistics(Model):
    """One beam in numbers, per fraction.

    Attributes
    ----------
    shallowest_range_mm, deepest_range_mm
        Depth of the distal 80 % in water of the lowest and the highest energy, behind the beam's range shifter.
    range_shifter
        Id of what stands in its way; ``None`` for nothing.
    lowest_spot_mu, highest_spot_mu
        Smallest and largest spot.
    delivery_s
        Estimated time to deliver it, without setup; ``None`` when the machine's file gives no times.
    delivery_basis
        What the estimate was made of, and where those numbers come from.
    """

    number: int
    name: str
    layers: int
    spots: int
    lowest_energy_mev: float
    highest_energy_mev: float
    shallowest_range_mm: float
    deepest_range_mm: float
    meterset_mu: float
    lowest_spot_mu: float
    highest_spot_mu: float
    delivery_s: float | None = Field(default=None, ge=0)
    delivery_basis: str | None = None
    range_shifter: str | None = None
