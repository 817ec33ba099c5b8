"""Where the spots of a scanned proton beam may go, so that the optimiser can cover the target.

Along each ray of a regular grid at the isocentre plane the water-equivalent depth is summed up through the
calculation grid. A layer gets a spot on a ray that meets the target, or the margin around it, within half a
layer spacing of the layer's range.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.plans import Beam, PlanSpec
from scipy.ndimage import distance_transform_edt, map_coordinates

from radiarch_planner.engines.base import FloatArray, Patient, PlacedBeam, PlacedLayer, Placement
from radiarch_planner.reach import Reach, range_shifter_for, refuse_collision
from radiarch_planner.steering import Array, BeamFrame

_STEP_MM = 1.0
"""Along a ray."""
_RAYS_AT_ONCE = 1000
"""Keeps the memory of tracing below about 100 MB."""
_SURFACE_MM = 3.0
"""Of water: a metre of air is 1 mm."""


@dataclass(frozen=True)
class Anatomy:
    """What the rays go through, all of shape (z, y, x) on ``grid``.

    ``stopping_power`` is relative to water; ``target`` the share inside it; ``margin_mm`` the distance from it;
    ``position`` how the patient lies.
    """

    grid: Grid
    stopping_power: FloatArray
    target: FloatArray
    distance_mm: FloatArray
    position: str


@dataclass(frozen=True)
class Trace:
    """Samples of the rays that meet the target or its margin: spot positions, and per sample depth and flags.

    ``depth_mm`` is the water-equivalent depth; all but ``xy_mm`` (n, 2) and ``heights_mm`` have shape (n, samples).
    ``heights_mm`` are those of the samples above the isocentre plane, falling: shape (samples,).
    """

    xy_mm: Array
    heights_mm: Array
    depth_mm: FloatArray
    in_target: npt.NDArray[np.bool_]
    in_margin: npt.NDArray[np.bool_]

    def surface_mm(self) -> Array:
        """Height at which each ray meets something: shape (rays that do,)."""
        met = self.depth_mm > _SURFACE_MM
        return self.heights_mm[met.argmax(axis=1)[met.any(axis=1)]]


def place_spots(
    patient: Patient, stopping_power: FloatArray, target: FloatArray, spec: PlanSpec, reach: Reach
) -> Placement:
    """Place the spots of every beam.

    Parameters
    ----------
    stopping_power
        Relative to water, on the patient's grid: shape (z, y, x).
    target
        Share of each voxel inside the target: shape (z, y, x).

    Raises
    ------
    RefusedError
        If the target is empty, or too shallow or too deep for a beam.
    """
    inside = target >= 0.5
    if not inside.any():
        raise RefusedError(
            f"The target '{spec.prescription.target}' has no voxel at least half inside it on a dose grid of "
            f"{spec.dose_grid_mm:g} mm.",
            "Name a larger target, or ask for a finer dose grid.",
        )
    spacing = patient.grid.spacing_mm[::-1]
    distance = np.asarray(distance_transform_edt(~inside, sampling=spacing), dtype=np.float32)
    anatomy = Anatomy(patient.grid, stopping_power, target, distance, patient.position)
    isocentre = spec.isocentre_mm or _centroid(patient.grid, target)
    beams = tuple(
        _place_beam(number, beam, isocentre, anatomy, spec, reach) for number, beam in enumerate(spec.beams, 1)
    )
    return Placement(isocentre, beams)


def _place_beam(
    number: int, beam: Beam, isocentre_mm: tuple[float, float, float], anatomy: Anatomy, spec: PlanSpec, reach: Reach
) -> PlacedBeam:
    angles = (beam.gantry_angle_deg, beam.couch_angle_deg)
    frame = BeamFrame.of(isocentre_mm, *angles, reach.source_mm, anatomy.position)
    traced = trace(frame, anatomy, spec.spot_spacing_mm, spec.target_margin_mm)
    _refuse_out_of_field(beam, traced, reach)
    shifter = range_shifter_for(beam, _target_depths(beam, traced), reach, spec.layer_spacing_mm)
    room_mm = max(spec.robustness.setup_mm) if spec.robustness else 0.0
    refuse_collision(beam, shifter, traced.surface_mm(), room_mm)
    reach = reach.behind(shifter)
    layers: list[PlacedLayer] = []
    for index in _layer_indices(traced, reach, spec.layer_spacing_mm):
        near = np.abs(traced.depth_mm - reach.ranges_mm[index]) <= spec.layer_spacing_mm / 2
        chosen = (near & traced.in_margin).any(axis=1)
        if chosen.any():
            layers.append(PlacedLayer(float(reach.energies_mev[index]), traced.xy_mm[chosen]))
    if not layers:
        raise RefusedError(
            f"No deliverable energy of beam '{beam.name}' stops within {spec.layer_spacing_mm / 2:g} mm of the target.",
            "Ask for a larger layer spacing, or a machine with finer energy steps.",
        )
    return PlacedBeam(number, beam, isocentre_mm, tuple(layers), shifter)


def trace(frame: BeamFrame, anatomy: Anatomy, spacing_mm: float, margin_mm: float) -> Trace:
    """Follow every ray of a regular grid of spots that may meet the target or its margin."""
    near_target = np.argwhere(anatomy.distance_mm <= margin_mm)[:, ::-1]
    places = near_target.astype(np.float64) * np.asarray(anatomy.grid.spacing_mm) + np.asarray(anatomy.grid.origin_mm)
    spots = frame.spot_of(places)
    axes = [
        spacing_mm * np.arange(np.floor(low / spacing_mm), np.ceil(high / spacing_mm) + 1)
        for low, high in zip(spots.min(axis=0), spots.max(axis=0), strict=True)
    ]
    # Rows along y, positions along x, as a scanning magnet goes.
    xy_mm = np.stack([axis.ravel() for axis in np.meshgrid(axes[0], axes[1])], axis=-1).round(6)
    heights = _heights(frame, anatomy.grid)
    parts = [
        _trace_rays(frame, anatomy, xy_mm[start : start + _RAYS_AT_ONCE], heights, margin_mm)
        for start in range(0, len(xy_mm), _RAYS_AT_ONCE)
    ]
    return Trace(
        np.concatenate([part.xy_mm for part in parts]),
        heights,
        np.concatenate([part.depth_mm for part in parts]),
        np.concatenate([part.in_target for part in parts]),
        np.concatenate([part.in_margin for part in parts]),
    )


def _trace_rays(frame: BeamFrame, anatomy: Anatomy, xy_mm: Array, heights_mm: Array, margin_mm: float) -> Trace:
    points = frame.ray(xy_mm, heights_mm)
    indices = anatomy.grid.index_of(points.reshape(-1, 3))[:, ::-1].T
    shape = points.shape[:2]

    def along(values: FloatArray, outside: float) -> FloatArray:
        sampled = map_coordinates(values, indices, output=np.float32, order=1, mode="constant", cval=outside)
        return np.asarray(sampled, dtype=np.float32).reshape(shape)

    step = np.linalg.norm(np.diff(points[:, :2], axis=1), axis=-1)
    power = along(anatomy.stopping_power, 0.0).astype(np.float64)
    # Trapezoids: half of the first sample and half of the last belong to no step.
    depth = (np.cumsum(power, axis=1) - power[:, :1] / 2 - power / 2) * step
    in_target = along(anatomy.target, 0.0) >= 0.5
    in_margin = in_target | (along(anatomy.distance_mm, 1e6) <= margin_mm)
    hit = in_margin.any(axis=1)
    return Trace(xy_mm[hit], heights_mm, depth[hit].astype(np.float32), in_target[hit], in_margin[hit])


def _heights(frame: BeamFrame, grid: Grid) -> Array:
    """Heights from above the grid to below it, falling: shape (m,), mm."""
    low, high = grid.edges_mm()
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    heights = frame.to_gantry(corners)[:, 2]
    return np.arange(np.ceil(heights.max()), np.floor(heights.min()) - _STEP_MM, -_STEP_MM)


def _layer_indices(traced: Trace, reach: Reach, spacing_mm: float) -> list[int]:
    """Deliverable energies from the deepest needed to the shallowest: one each ``spacing_mm`` of water."""
    depths = traced.depth_mm[traced.in_margin]
    deepest, shallowest = float(depths.max()), float(depths.min())
    wanted = np.arange(deepest, shallowest - spacing_mm, -spacing_mm)
    wanted = wanted[(wanted >= reach.ranges_mm[0] - spacing_mm / 2) & (wanted <= reach.ranges_mm[-1] + spacing_mm)]
    nearest = np.abs(reach.ranges_mm[None, :] - wanted[:, None]).argmin(axis=1)
    return sorted({int(index) for index in nearest}, reverse=True)


def _refuse_out_of_field(beam: Beam, traced: Trace, reach: Reach) -> None:
    """Refuse a beam that would need spots where the machine cannot scan."""
    needed = np.abs(traced.xy_mm).max(axis=0)
    if np.all(needed <= np.asarray(reach.field_mm) / 2):
        return
    raise RefusedError(
        f"Beam '{beam.name}' needs spots up to {needed[0]:.0f} x {needed[1]:.0f} mm from its axis, and the machine's "
        f"field of {reach.field_mm[0]:g} x {reach.field_mm[1]:g} mm reaches {reach.field_mm[0] / 2:g} x "
        f"{reach.field_mm[1] / 2:g} mm.",
        "Put the isocentre into the middle of the target, or plan a smaller target.",
    )


def _target_depths(beam: Beam, traced: Trace) -> FloatArray:
    """Water-equivalent depths in the target along a beam, shape (samples in it,), mm."""
    depths = traced.depth_mm[traced.in_target]
    if not depths.size:
        raise RefusedError(f"No ray of beam '{beam.name}' meets the target.", "Ask for a smaller spot spacing.")
    return depths


def _centroid(grid: Grid, target: FloatArray) -> tuple[float, float, float]:
    """Centroid of the target, LPS, mm, to a thousandth."""
    weights = target.astype(np.float64)
    total = weights.sum()
    sums = [weights.sum(axis=tuple(other for other in range(3) if other != 2 - axis)) for axis in range(3)]
    centre = [round(float(sums[axis] @ grid.axis_mm(axis) / total), 3) for axis in range(3)]
    return centre[0], centre[1], centre[2]
