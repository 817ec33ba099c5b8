"""Tables of a report: doses by structure, indices, LET, beams."""

from radiarch_common.quality import PlanIndices
from radiarch_common.result import BeamRangeShifter, ResultManifest

from radiarch_exporter.report.content import DASH, Column, Table

DOSES = ("D98%[Gy]", "D95%[Gy]", "D50%[Gy]", "D2%[Gy]", "Mean[Gy]", "Max[Gy]")


def structures_table(result: ResultManifest) -> Table:
    """Volume and doses of every structure, Gy(RBE)."""
    columns = (
        Column("Structure", 2.6),
        Column("cm³", 1.2, number=True),
        *(Column(name.removesuffix("[Gy]"), 1.0, number=True) for name in DOSES),
    )
    rows = tuple(
        (
            curve.structure,
            f"{curve.volume_cc:.1f}",
            *(f"{curve.metrics[name]:.2f}" if name in curve.metrics else "" for name in DOSES),
        )
        for curve in result.dvh
    )
    return Table(columns, rows)


def indices_table(found: PlanIndices) -> Table:
    """Indices with their formula; a dash where one is not defined."""
    rows = (
        ("Homogeneity (ICRU 83)", "(D2% - D98%) / D50%, ideally 0", _value(found.homogeneity)),
        ("Conformity (Paddick)", "TV_PIV² / (TV · PIV), ideally 1", _value(found.conformity)),
        ("Conformity at 95 % of the prescription", "the same at the 95 % isodose", _value(found.conformity_95)),
        ("Gradient (Paddick and Lippitz)", "volume of half the prescription / PIV", _value(found.gradient)),
        ("Target, TV", "", f"{found.target_cc:.1f} cm³"),
        ("Target at the prescription or more, TV_PIV", "", f"{found.covered_cc:.1f} cm³"),
        ("Isodose of the prescription in the body, PIV", "", _value(found.isodose_cc, " cm³", 1)),
    )
    return Table((Column("Index", 3.4), Column("Definition", 3.0), Column("Value", 1.2, number=True)), rows)


def let_table(result: ResultManifest) -> Table:
    """Dose-averaged LET of every structure, keV/um."""
    columns = (Column("Structure", 4.0), Column("Mean", 1.5, number=True), Column("Highest", 1.5, number=True))
    return Table(columns, tuple((s.structure, f"{s.mean_kev_um:.2f}", f"{s.maximum_kev_um:.2f}") for s in result.let))


def beams_table(result: ResultManifest) -> Table:
    """Angles, range shifter where any beam has one, and the statistics that the result has, per fraction."""
    known = {beam.number: beam for beam in result.beam_statistics}
    shifted = any(beam.range_shifter for beam in result.beams)
    columns = (
        Column("Beam", 1.8),
        Column("Gantry", 1.0, number=True),
        Column("Couch", 0.9, number=True),
        *((Column("Range shifter", 1.7),) if shifted else ()),
        Column("Layers", 1.05, number=True),
        Column("Spots", 0.9, number=True),
        Column("Energy / MeV", 1.75, number=True),
        Column("Range / mm", 1.7, number=True),
        Column("MU", 1.1, number=True),
        Column("Spot MU", 1.7, number=True),
        Column("Time", 0.8, number=True),
    )
    rows: list[tuple[str, ...]] = []
    for beam in result.beams:
        energies = [layer.energy_mev for layer in beam.layers]
        mu = [mu for layer in beam.layers for mu in layer.mu]
        own = known.get(beam.number)
        rows.append(
            (
                f"{beam.number}  {beam.name}",
                f"{beam.gantry_angle_deg:g}°",
                f"{beam.couch_angle_deg:g}°",
                *((_shifter(beam.range_shifter),) if shifted else ()),
                str(len(energies)),
                str(len(mu)),
                f"{min(energies):.1f}{DASH}{max(energies):.1f}",
                f"{own.shallowest_range_mm:.0f}{DASH}{own.deepest_range_mm:.0f}" if own else "",
                f"{beam.meterset_mu:.1f}",
                f"{min(mu):.3f}{DASH}{max(mu):.2f}",
                f"{own.delivery_s:.0f} s" if own and own.delivery_s is not None else DASH,
            )
        )
    return Table(columns, tuple(rows))


def beam_notes(result: ResultManifest) -> tuple[str, ...]:
    """What the columns of the beams mean, and where the times come from."""
    shifted = any(beam.range_shifter for beam in result.beams)
    basis = dict.fromkeys(beam.delivery_basis for beam in result.beam_statistics if beam.delivery_basis)
    return (
        "Per fraction. Angles by IEC 61217; range: depth of the distal 80 % in water of the lowest and highest energy.",
        *(("Range shifter: its name and water-equivalent thickness; ranges are behind it.",) if shifted else ()),
        *(f"Time: {text}." for text in basis),
        *(() if basis else ("Time: the machine's file gives no delivery times, so none is estimated.",)),
    )


def _shifter(shifter: BeamRangeShifter | None) -> str:
    return "none" if shifter is None else f"{shifter.id}, {shifter.wet_mm:.1f} mm"


def _value(value: float | None, unit: str = "", digits: int = 3) -> str:
    return DASH if value is None else f"{value:.{digits}f}{unit}"
