"""Derived structures against shapes whose volumes are known: spheres, boxes, and what margins make of them.

What it takes to fail: a margin that is off by a tenth of a millimetre or on the wrong side, an octant that is not an
ellipsoid's, a combination whose volumes do not add up, a name that hides a drawn structure.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import radiarch_planner
from pydantic import TypeAdapter, ValidationError
from radiarch_common.case import Case, CaseDraft, CaseManifest, Reference, Structure, load_case, save_case
from radiarch_common.contours import occupancy, volume_cc
from radiarch_common.density import DensityOverride
from radiarch_common.derived import DerivedStructure, drawn_sources
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Contour, Grid
from radiarch_common.objects import FolderStore
from radiarch_common.watch import QuietWatch
from radiarch_planner.evaluation import structure_dvh
from radiarch_planner.machine import read_calibration
from radiarch_planner.structures.density import overridden_ct
from radiarch_planner.structures.derived_case import DerivedCase, check_derived_target, with_derived

DERIVED: TypeAdapter[DerivedStructure] = TypeAdapter(DerivedStructure)
GRID = Grid(origin_mm=(-79.0, -69.0, -60.0), spacing_mm=(2.0, 2.0, 2.0), size=(80, 70, 61))
RADIUS_MM = 20.0
CENTRE_MM = (3.3, -4.6, 1.0)


def sphere(radius_mm: float, centre_mm: tuple[float, float, float]) -> list[Contour]:
    """Contours of a sphere on the planes of the CT."""
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    drawn: list[Contour] = []
    for z in GRID.axis_mm(2):
        square = radius_mm**2 - (z - centre_mm[2]) ** 2
        if square > 0:
            points = np.sqrt(square) * np.column_stack([np.cos(angle), np.sin(angle)]) + centre_mm[:2]
            drawn.append(Contour(z_mm=float(z), points_mm=points))
    return drawn


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> list[Contour]:
    """Contours of a box; its ends are half a slice beyond its first and last plane."""
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    return [Contour(z_mm=float(z), points_mm=corners) for z in GRID.axis_mm(2) if low[2] < z < high[2]]


DRAWN: dict[str, list[Contour]] = {
    "BODY": box((-78.0, -68.0, -61.0), (78.0, 68.0, 61.0)),
    "Ball": sphere(RADIUS_MM, CENTRE_MM),
    "Box": box((-20.0, -15.0, -11.0), (20.0, 15.0, 9.0)),
    "Half": box((0.3, -15.0, -11.0), (20.0, 15.0, 9.0)),
    "Other half": box((-20.0, -15.0, -11.0), (0.3, 15.0, 9.0)),
    "Far": sphere(8.0, (-55.0, 40.0, 30.0)),
    "Empty": [],
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    objects = FolderStore(tmp_path_factory.mktemp("objects"))
    structures: list[Structure] = []
    filled = {}
    for number, (name, contours) in enumerate(DRAWN.items(), start=1):
        filled[number], grid = occupancy(contours, GRID)
        volume = volume_cc(contours, GRID.spacing_mm[2])
        structures.append(Structure(number=number, name=name, interpreted_type="", volume_cc=volume, grid=grid))
    reference = Reference(sop_class_uid="1.2", sop_instance_uid="1.2.3")
    manifest = CaseManifest(
        grid=GRID,
        structures=tuple(structures),
        body=1,
        patient_position="HFS",
        frame_of_reference_uid="1.2",
        study_instance_uid="1.2",
        ct_series_instance_uid="1.2",
        ct_slices=(reference,) * GRID.size[2],
        structure_set=reference,
        header={},
        digests={},
    )
    contours_by_number = dict(enumerate(DRAWN.values(), start=1))
    draft = CaseDraft(manifest, np.zeros(GRID.shape, np.int16), filled, contours_by_number)
    return load_case(objects, save_case(objects, draft))


def derived(case: Case, *recipes: dict[str, Any]) -> tuple[Case, list[Structure]]:
    """The case with derived structures, and these."""
    made = with_derived(case, [DERIVED.validate_python(recipe) for recipe in recipes], QuietWatch())
    return made, [made.manifest.structure(recipe["name"]) for recipe in recipes]


def volume_of(case: Case, recipe: dict[str, Any]) -> float:
    _, [structure] = derived(case, {"name": "New", **recipe})
    return structure.volume_cc


def ball_cc(radius_mm: float) -> float:
    """Of a true sphere; the drawn one ends in flat caps, which a margin makes wider: up to 2 % of a thin ring."""
    return 4 / 3 * np.pi * radius_mm**3 / 1000


@pytest.mark.parametrize("margin", [-12.0, -5.0, -1.0, 0.4, 1.0, 3.0, 5.0, 12.0])
def test_a_sphere_and_a_margin_is_a_larger_sphere(case: Case, margin: float) -> None:
    """In radius; the ball as drawn on planes is itself 0.05 mm small."""
    found = volume_of(case, {"kind": "margin", "of": "Ball", "margin_mm": margin})
    radius = (found * 1000 * 3 / 4 / np.pi) ** (1 / 3)
    assert radius == pytest.approx(RADIUS_MM + margin, abs=0.12), radius - RADIUS_MM - margin


SIDES_MM = {"right": 3.0, "left": 7.0, "anterior": 0.0, "posterior": 4.0, "superior": 10.0, "inferior": 5.0}


def reach_of(case: Case, structure: Structure) -> dict[str, float]:
    """Where the structure ends on each side of the patient, through the middle of the box, mm."""
    share, grid = case.occupancy(structure), structure.grid
    low, _ = grid.edges_mm()
    middle = [round(float(i)) for i in grid.index_of(np.array([[0.0, 0.0, -3.0]]))[0]]
    ends: dict[str, float] = {}
    for axis, (falling, rising) in enumerate((("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))):
        index: list[Any] = [middle[2], middle[1], middle[0]]
        index[2 - axis] = slice(None)
        line = share[tuple(index)]
        at = int(np.argmax(line > 0.5))
        ends[falling] = low[axis] + grid.spacing_mm[axis] * (at + 1 - line[: at + 1].sum())
        ends[rising] = low[axis] + grid.spacing_mm[axis] * (at + line[at:].sum())
    return ends


def test_each_side_has_its_own_margin(case: Case) -> None:
    """Mirrored sides, or right taken for +x, fail: LPS has left at +x, posterior at +y, superior at +z."""
    sides = {f"{side}_mm": mm for side, mm in SIDES_MM.items()}
    made, [grown] = derived(case, {"name": "New", "kind": "margin", "of": "Box", "sides": sides})
    expected = {"right": -23.0, "left": 27.0, "anterior": -15.0, "posterior": 19.0, "superior": 19.0, "inferior": -16.0}
    assert reach_of(made, grown) == pytest.approx(expected, abs=0.1)


def test_sides_that_differ_are_ellipsoids_in_their_octants(case: Case) -> None:
    """Box, slabs on its faces, quarters of elliptic cylinders on its edges, octants of ellipsoids on its corners."""
    across, along, up = 40.0, 30.0, 20.0
    sides = {f"{side}_mm": max(mm, 2.0) for side, mm in SIDES_MM.items()}
    r, t, a, p, s, i = (sides[f"{n}_mm"] for n in ("right", "left", "anterior", "posterior", "superior", "inferior"))
    x, y, z = r + t, a + p, s + i
    faces = across * along * z + along * up * x + across * up * y
    edges = np.pi / 4 * (across * y * z + along * x * z + up * x * y)
    expected = across * along * up + faces + edges + np.pi / 6 * x * y * z
    found = volume_of(case, {"kind": "margin", "of": "Box", "sides": sides}) * 1000
    assert found == pytest.approx(expected, rel=0.006)


def test_shrinking_undoes_a_margin_of_a_convex_shape(case: Case) -> None:
    sides = {f"{side}_mm": -mm for side, mm in SIDES_MM.items()}
    made, [shrunk] = derived(case, {"name": "New", "kind": "margin", "of": "Box", "sides": sides})
    expected = {"right": -17.0, "left": 13.0, "anterior": -15.0, "posterior": 11.0, "superior": -1.0, "inferior": -6.0}
    assert reach_of(made, shrunk) == pytest.approx(expected, abs=0.1)
    there_and_back = derived(
        case,
        {"name": "Out", "kind": "margin", "of": "Ball", "margin_mm": 6.0},
        {"name": "Back", "kind": "margin", "of": "Out", "margin_mm": -6.0},
    )[1][1]
    assert there_and_back.volume_cc == pytest.approx(
        volume_of(case, {"kind": "margin", "of": "Ball", "margin_mm": 0.0}), rel=0.01
    )


@pytest.mark.parametrize(("start", "end"), [(0.0, 5.0), (2.0, 12.0), (-6.0, -1.0), (-3.0, 3.0)])
def test_a_ring_is_the_difference_of_two_spheres(case: Case, start: float, end: float) -> None:
    found = volume_of(case, {"kind": "ring", "of": "Ball", "from_mm": start, "to_mm": end})
    assert found == pytest.approx(ball_cc(RADIUS_MM + end) - ball_cc(RADIUS_MM + start), rel=0.02)


def test_combinations_of_volumes_add_up(case: Case) -> None:
    """Halves that touch inside a cell: nothing in common, the whole together, and a half without the other."""
    both = ["Half", "Other half"]
    assert volume_of(case, {"kind": "union", "of": both}) == pytest.approx(24.0, rel=1e-3)
    with pytest.raises(RefusedError, match="New"):
        volume_of(case, {"kind": "intersection", "of": both})
    assert volume_of(case, {"kind": "subtraction", "of": both}) == pytest.approx(19.7 * 0.6, rel=1e-3)
    assert volume_of(case, {"kind": "intersection", "of": ["Half", "Box"]}) == pytest.approx(19.7 * 0.6, rel=1e-3)
    assert volume_of(case, {"kind": "subtraction", "of": ["Box", "Half"]}) == pytest.approx(20.3 * 0.6, rel=2e-3)
    with pytest.raises(RefusedError, match="empty"):
        volume_of(case, {"kind": "subtraction", "of": ["Half", "Box"]})
    apart = volume_of(case, {"kind": "union", "of": ["Ball", "Far"]})
    assert apart == pytest.approx(ball_cc(RADIUS_MM) + ball_cc(8.0), rel=0.015)


def test_inclusion_and_exclusion(case: Case) -> None:
    """Ball and box cross each other at all angles."""
    one, other = (volume_of(case, {"kind": "margin", "of": name, "margin_mm": 0.0}) for name in ("Ball", "Box"))
    union = volume_of(case, {"kind": "union", "of": ["Ball", "Box"]})
    common = volume_of(case, {"kind": "intersection", "of": ["Ball", "Box"]})
    without = volume_of(case, {"kind": "subtraction", "of": ["Ball", "Box"]})
    assert union + common == pytest.approx(one + other, rel=1e-3)
    assert without + common == pytest.approx(one, rel=1e-3)
    assert one == pytest.approx(ball_cc(RADIUS_MM), rel=0.01)
    assert other == pytest.approx(24.0, rel=1e-3)


def test_what_is_cropped_to_the_body_stays_inside(case: Case) -> None:
    """The shape near the skin grows by more than the distance to it: half a sphere cut off at x = -78 mm."""
    recipe = {"kind": "margin", "of": "Far", "margin_mm": 22.0}
    made, [cropped] = derived(case, {"name": "New", "crop_to": "{body}", **recipe})
    whole, cap = ball_cc(30.0), np.pi * 7.0**2 / 3 * (3 * 30.0 - 7.0) / 1000
    # Of the sphere around (-55, 40, 30): beyond x = -78 by 7 mm, beyond y = 68 by 2 mm; z ends at 61.
    beyond_y = np.pi * 2.0**2 / 3 * (3 * 30.0 - 2.0) / 1000
    assert cropped.volume_cc == pytest.approx(whole - cap - beyond_y, rel=0.02)
    low, _ = cropped.grid.edges_mm()
    assert low[0] > -79.5
    assert cropped.derived.startswith("Far +22 mm, inside BODY; voxels of ")
    assert made.manifest.structure("New").number == len(DRAWN) + 1


def test_one_is_made_of_another(case: Case) -> None:
    """A ring around a margin, without what was drawn there."""
    _, structures = derived(
        case,
        {"name": "PTV", "kind": "margin", "of": "Ball", "margin_mm": 5.0},
        {"name": "Ring", "kind": "ring", "of": "PTV", "from_mm": 0.0, "to_mm": 10.0},
        {"name": "Rest", "kind": "subtraction", "of": ["Ring", "PTV", "Far"]},
    )
    ring = ball_cc(35.0) - ball_cc(25.0)
    assert [s.volume_cc for s in structures] == pytest.approx([ball_cc(25.0), ring, ring], rel=0.015)


def test_the_drawn_case_is_left_as_it_was(case: Case) -> None:
    before = case.manifest
    made, [structure] = derived(case, {"name": "New", "kind": "margin", "of": "Ball", "margin_mm": 5.0})
    assert case.manifest == before
    assert (made.key, made.sha256) == (case.key, case.sha256)
    drawn = made.manifest.structure("Ball")
    np.testing.assert_array_equal(made.occupancy(drawn), case.occupancy(drawn))
    assert made.occupancy(structure).shape == structure.grid.shape
    assert with_derived(case, [], QuietWatch()) is case


MARGIN = {"name": "New", "kind": "margin", "of": "Ball", "margin_mm": 5.0}


@pytest.mark.parametrize(
    ("recipes", "reason"),
    [
        ([{**MARGIN, "name": "Box"}], r"has a structure 'Box' already"),
        ([{**MARGIN, "of": "GTV"}], r"'New' is made of 'GTV'"),
        ([{**MARGIN, "of": "Later"}, {**MARGIN, "name": "Later"}], r"'New' is made of 'Later'"),
        ([{**MARGIN, "of": "Empty"}], r"'Empty', which 'New' is made of, is empty"),
        ([{**MARGIN, "margin_mm": -25.0}], r"'New' is empty: nothing is left of Ball -25 mm"),
        ([{**MARGIN, "crop_to": "Far"}], r"'New' is empty: nothing is left of Ball \+5 mm, inside Far"),
        ([MARGIN, MARGIN], r"[Tt]wo derived structures are named 'New'"),
        ([{**MARGIN, "of": "New"}], r"'New' is made of itself"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(case: Case, recipes: Sequence[dict[str, Any]], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as refusal:
        derived(case, *recipes)
    assert refusal.value.hint


@pytest.mark.parametrize(
    "recipe",
    [
        {"margin_mm": None},
        {"sides": {"left_mm": 3.0}},
        {"margin_mm": 51.0},
        {"margin_mm": None, "sides": {"left_mm": 3.0, "right_mm": -3.0}},
        {"margin_mm": float("nan")},
        {"kind": "ring", "margin_mm": None, "from_mm": 3.0, "to_mm": 3.0},
        {"kind": "union", "of": ["Ball"]},
        {"kind": "magic"},
    ],
)
def test_what_makes_no_sense_is_not_read(recipe: dict[str, Any]) -> None:
    given = {key: value for key, value in {**MARGIN, **recipe}.items() if value is not None}
    with pytest.raises(ValidationError):
        DERIVED.validate_python(given)


def test_the_drawn_structures_behind_a_derived_one() -> None:
    recipes = [
        DERIVED.validate_python({"name": "A", "kind": "union", "of": ["X", "Y"]}),
        DERIVED.validate_python({"name": "B", "kind": "margin", "of": "A", "margin_mm": 1.0, "crop_to": "{body}"}),
    ]
    assert drawn_sources("B", recipes) == ("X", "Y")
    assert drawn_sources("Z", recipes) == ("Z",)


def test_dvh_of_a_derived_structure_is_that_of_its_voxels(case: Case) -> None:
    """In a dose that rises along x by 1 Gy/mm: a sphere of 25 mm receives 3/16 of its diameter either side."""
    made, [structure] = derived(case, MARGIN)
    grid = Grid(origin_mm=(-79.0, -69.0, -60.0), spacing_mm=(2.0, 2.0, 2.0), size=(80, 70, 61))
    dose = np.broadcast_to((80.0 + grid.axis_mm(0)).astype(np.float32), grid.shape)
    dvh = structure_dvh(made, structure, [], np.ascontiguousarray(dose), grid, ["V83.3Gy[%]", "V73.3Gy[%]"])
    assert dvh.curve.volume_cc == pytest.approx(structure.volume_cc, rel=1e-4)
    assert dvh.curve.derived == structure.derived
    metrics = dvh.curve.metrics
    assert metrics["Mean[Gy]"] == pytest.approx(83.3, abs=0.05)
    assert metrics["V83.3Gy[%]"] == pytest.approx(50.0, abs=0.3)
    # The cap beyond 15 mm from the middle of a ball of 25 mm: h = 0.4 r has h^2 (3 r - h) / 4 r^3 = 10.4 %.
    whole = dvh.cumulative.volume_cc
    assert 100 * dvh.cumulative.volume_at_cc(98.3) / whole == pytest.approx(10.4, abs=0.2)
    assert (metrics["Min[Gy]"], metrics["Max[Gy]"]) == pytest.approx((58.3, 108.3), abs=0.6)


def test_a_derived_target_must_lie_in_the_body(case: Case) -> None:
    made, [structure] = derived(case, {**MARGIN, "of": "Far", "margin_mm": 30.0})
    body = np.ones(GRID.shape, np.float32)
    share = made.occupancy(structure)
    target = np.zeros(GRID.shape, np.float32)
    target.reshape(-1)[: int(structure.volume_cc / GRID.voxel_volume_cc)] = 1
    check_derived_target(made, "New", target, body, GRID)
    assert share.max() == 1
    with pytest.raises(RefusedError, match=r"10\.\d% of target 'New' lies outside"):
        check_derived_target(made, "New", target * np.float32(0.9), body, GRID)
    check_derived_target(made, "Ball", target * np.float32(0), body, GRID)


def test_a_body_that_is_voxels_is_cropped_to(case: Case) -> None:
    """BODY made from the CT has no contours: it is the voxels of its occupancy, whose faces are where they were."""
    manifest = case.manifest
    [body] = [s for s in manifest.structures if s.number == manifest.body]
    made = body.model_copy(update={"derived": "made from the CT"})
    changed = manifest.model_copy(update={"structures": (made, *manifest.structures[1:])})
    of_voxels = VoxelBodyCase(case, changed, {})
    recipe = {"name": "New", "kind": "margin", "of": "Far", "margin_mm": 22.0, "crop_to": "{body}"}
    _, [cropped] = derived(of_voxels, recipe)
    assert cropped.volume_cc == pytest.approx(volume_of(case, {**recipe}), rel=0.003)


class VoxelBodyCase(DerivedCase):
    """A case whose body has no contours."""

    def contours(self) -> dict[int, list[Contour]]:
        return {number: drawn for number, drawn in super().contours().items() if number != self.manifest.body}


CALIBRATION, WATER = (
    read_calibration(Path(radiarch_planner.__file__).parent / "ct_calibrations" / name)
    for name in ("ucl-toshiba", "water")
)


def test_a_density_override_replaces_the_ct_in_its_structure_alone(case: Case) -> None:
    """The water of the case is 0 HU; voxels half inside are half changed, the later of two holds."""
    seen = overridden_ct(case, CALIBRATION, [DensityOverride(structure="Box", hu=500.0)])
    changed, said = seen.ct_hu, seen.changes
    [box] = [s for s in case.manifest.structures if s.name == "Box"]
    assert changed[changed > -1000].sum() * GRID.voxel_volume_cc == pytest.approx(500 * 24.0, rel=0.01)
    assert set(np.unique(changed[30])) <= {-1000, *range(501)}
    assert changed[30, 35, 40] == 500
    assert changed[30, 35, 5] == 0
    assert said == ("Density override: 24.0 cm3 of 'Box' were calculated as 500 HU.",)
    two = [DensityOverride(structure="Box", hu=500.0), DensityOverride(structure="{body}", hu=20.0)]
    assert overridden_ct(case, CALIBRATION, two).ct_hu[30, 35, 40] == 20
    assert box.volume_cc == pytest.approx(24.0)


@pytest.mark.parametrize(("density_g_cm3", "hu"), [(1.0, 0), (0.525, -475), (1.5, 500), (0.001205, -1000)])
def test_a_mass_density_is_what_the_calibration_gives_its_hu(case: Case, density_g_cm3: float, hu: int) -> None:
    """Against the rows of the water calibration: 0.05 at -950, 1 at 0, 2 g/cm3 at 1000 HU. Both said."""
    asked = DensityOverride(structure="Box", mass_density_g_cm3=density_g_cm3)
    seen = overridden_ct(case, WATER, [asked])
    assert seen.ct_hu[30, 35, 40] == hu
    assert f"as {density_g_cm3:g} g/cm3 ({hu} HU of the CT calibration)" in seen.changes[0]


def test_a_density_beyond_the_calibration_is_refused(case: Case) -> None:
    with pytest.raises(RefusedError, match=r"'Box' is 8 g/cm3; the CT calibration 'water' has 0.001205 to"):
        overridden_ct(case, WATER, [DensityOverride(structure="Box", mass_density_g_cm3=8.0)])


@pytest.mark.parametrize("both", [{}, {"hu": 0.0, "mass_density_g_cm3": 1.0}])
def test_an_override_is_either_of_the_two(both: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="either hu or mass_density_g_cm3"):
        DensityOverride.model_validate({"structure": "Box", **both})


@pytest.mark.parametrize(
    ("structure", "hu", "reason"),
    [
        ("Box", 30000.0, r"override of 'Box' is 30000 HU; the CT calibration 'ucl-toshiba' was measured from"),
        ("GTV", 0.0, "no structure 'GTV'"),
        ("Empty", 0.0, "'Empty', whose density is to be overridden, is empty"),
    ],
)
def test_an_override_that_cannot_be_made_is_refused(case: Case, structure: str, hu: float, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as refusal:
        overridden_ct(case, CALIBRATION, [DensityOverride(structure=structure, hu=hu)])
    assert refusal.value.hint


def test_an_override_outside_the_body_stays_where_it_is(case: Case) -> None:
    """A couch is outside; all else there is air, whatever the CT shows. Fails when either is not so."""
    manifest = case.manifest
    other = manifest.model_copy(update={"body": manifest.structure("Ball").number})
    seen = overridden_ct(DerivedCase(case, other, {}), CALIBRATION, [DensityOverride(structure="Far", hu=300.0)])
    far = manifest.structure("Far")
    whole = (seen.ct_hu.astype(float) + 1000).clip(0).sum() * GRID.voxel_volume_cc
    assert whole == pytest.approx(1300 * far.volume_cc + 1000 * manifest.structure("Ball").volume_cc, rel=0.03)
    [said] = seen.changes
    assert re.fullmatch(r"Density override: (\S+) cm3 of 'Far' .* as 300 HU, \1 cm3 of them outside BODY: .*", said)
