"""Panels: the dose over the CT in one plane, with outlines, axes in mm and the patient's directions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from radiarch_common.case import Case, Structure
from radiarch_common.geometry import Grid
from radiarch_common.result import Result

from radiarch_exporter.palette import BODY, PANEL, TARGET, TEXT, DoseScale, Theme, halo
from radiarch_exporter.planes import View, cut, extent_mm, where_to_cut

_MARGIN_MM = 14.0
_AROUND_TARGET_MM = 80.0
_WINDOW_HU = (-160.0, 240.0)
# A panel is never drawn narrower or lower than this: the legend needs as much.
_SMALLEST_MM = 120.0


@dataclass(frozen=True)
class Scene:
    """All that is drawn: volumes on their grids, where they are cut, and the part that is shown (mm)."""

    ct_hu: npt.NDArray[np.int16]
    ct_grid: Grid
    dose_gy_rbe: npt.NDArray[np.float32]
    dose_grid: Grid
    outlines: tuple[tuple[npt.NDArray[np.float32], Grid, str], ...]
    at_mm: tuple[float, float, float]
    shown_mm: tuple[tuple[float, float], ...]
    scale: DoseScale


def scene_of(case: Case, result: Result) -> Scene:
    """What is drawn of a result: cut through the target, showing the body."""
    manifest = result.manifest
    prescription = manifest.resolved.spec.prescription
    target, target_part = _target(case, result)
    body = next(s for s in case.manifest.structures if s.number == case.manifest.body)
    body_part = case.occupancy(body)
    dose = result.dose_gy_rbe()
    return Scene(
        ct_hu=case.ct_hu(),
        ct_grid=case.manifest.grid,
        dose_gy_rbe=dose,
        dose_grid=manifest.grid,
        outlines=((*_padded(body_part, body), BODY), (*_padded(target_part, target), TARGET)),
        at_mm=where_to_cut(target_part, target.grid, manifest.beams[0].isocentre_mm),
        shown_mm=_shown(extent_mm(body_part, body.grid), extent_mm(target_part, target.grid)),
        scale=DoseScale.of(float(dose.max()), prescription.dose_gy_rbe),
    )


def _target(case: Case, result: Result) -> tuple[Structure, npt.NDArray[np.float32]]:
    """The prescription's target and its occupancy: from the case, or from the result that derived it."""
    name = result.manifest.resolved.spec.prescription.target
    for derived in result.manifest.structures:
        if derived.name == name:
            return derived, result.occupancy(derived)
    drawn = case.manifest.structure(name)
    return drawn, case.occupancy(drawn)


def _padded(occupancy: npt.NDArray[np.float32], structure: Structure) -> tuple[npt.NDArray[np.float32], Grid]:
    """With an empty voxel all around, so that outlines close."""
    nx, ny, nz = structure.grid.size
    return np.pad(occupancy, 1), structure.grid.crop((-1, -1, -1), (nx + 2, ny + 2, nz + 2))


def _shown(
    body: tuple[tuple[float, float], ...], target: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, float], ...]:
    """The body; along z only what is near the target."""
    ranges = [(low - _MARGIN_MM, high + _MARGIN_MM) for low, high in body]
    ranges[2] = max(ranges[2][0], target[2][0] - _AROUND_TARGET_MM), min(ranges[2][1], target[2][1] + _AROUND_TARGET_MM)
    wider = [max(0.0, _SMALLEST_MM - (high - low)) / 2 for low, high in ranges]
    return tuple((low - more, high + more) for (low, high), more in zip(ranges, wider, strict=True))


def draw_panel(axes: Axes, view: View, scene: Scene, theme: Theme) -> None:
    """Draw one plane of a scene."""
    at = scene.at_mm[view.normal]
    axes.set_facecolor(PANEL)
    _draw_ct(axes, view, scene)
    _draw_dose(axes, view, scene)
    for occupancy, grid, colour in scene.outlines:
        plane = cut(occupancy, grid, view, at)
        if plane is not None and plane.values.min() < 0.5 < plane.values.max():
            lines = axes.contour(plane.across_mm, plane.down_mm, plane.values, levels=[0.5], colors=[colour])
            lines.set(linewidths=1.8, path_effects=halo(3.4))
    for value, line in ((scene.at_mm[view.across], axes.axvline), (scene.at_mm[view.down], axes.axhline)):
        line(value, color=TEXT, linewidth=0.7, linestyle=(0, (2, 5)), alpha=0.55)
    low, high = scene.shown_mm[view.down]
    axes.set_xlim(*scene.shown_mm[view.across])
    axes.set_ylim(*((low, high) if view.head_up else (high, low)))
    axes.set_aspect("equal")
    _letter(axes, view, at, theme)


def _draw_ct(axes: Axes, view: View, scene: Scene) -> None:
    plane = cut(scene.ct_hu, scene.ct_grid, view, scene.at_mm[view.normal])
    if plane is None:
        return
    axes.imshow(
        plane.values,
        cmap="gray",
        vmin=_WINDOW_HU[0],
        vmax=_WINDOW_HU[1],
        origin="lower",
        extent=_extent(plane.across_mm, plane.down_mm),
        interpolation="bilinear",
    )


def _draw_dose(axes: Axes, view: View, scene: Scene) -> None:
    """Colour wash from the threshold on, and the line of 95 % of the prescription."""
    plane = cut(scene.dose_gy_rbe, scene.dose_grid, view, scene.at_mm[view.normal])
    if plane is None:
        return
    fine = plane.finer(0.5)
    axes.imshow(
        scene.scale.wash(fine.values),
        origin="lower",
        extent=_extent(fine.across_mm, fine.down_mm),
        interpolation="antialiased",
    )
    level = scene.scale.line_gy_rbe
    if fine.values.min() < level < fine.values.max():
        lines = axes.contour(fine.across_mm, fine.down_mm, fine.values, levels=[level], colors=[TEXT])
        lines.set(linewidths=1.1, linestyles=(0, (4, 2)))


def _extent(across_mm: npt.NDArray[np.float64], down_mm: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Outer faces of the first and last pixel, as matplotlib wants them."""
    half_across = (across_mm[-1] - across_mm[0]) / max(len(across_mm) - 1, 1) / 2 or 0.5
    half_down = (down_mm[-1] - down_mm[0]) / max(len(down_mm) - 1, 1) / 2 or 0.5
    return (
        float(across_mm[0] - half_across),
        float(across_mm[-1] + half_across),
        float(down_mm[0] - half_down),
        float(down_mm[-1] + half_down),
    )


def _letter(axes: Axes, view: View, at_mm: float, theme: Theme) -> None:
    normal, across, down = ("xyz"[axis] for axis in (view.normal, view.across, view.down))
    place = f"{at_mm:.1f}".replace("-", "\N{MINUS SIGN}")
    axes.set_title(f"{view.name}   {normal} = {place} mm", color=theme.text, fontsize=11, loc="left", pad=8)
    axes.set_xlabel(f"{across} / mm", color=theme.dim, fontsize=9, labelpad=3)
    axes.set_ylabel(f"{down} / mm", color=theme.dim, fontsize=9, labelpad=1)
    axes.tick_params(colors=theme.dim, labelsize=8.5, length=3)
    axes.spines[:].set_color(theme.dim)
    axes.spines[:].set_linewidth(0.6)
    places = (
        (0.015, 0.5, "left", "center"),
        (0.985, 0.5, "right", "center"),
        (0.5, 0.98, "center", "top"),
        (0.5, 0.02, "center", "bottom"),
    )
    for letter, (x, y, horizontal, vertical) in zip(view.letters, places, strict=True):
        axes.text(
            x,
            y,
            letter,
            transform=axes.transAxes,
            ha=horizontal,
            va=vertical,
            color=TEXT,
            fontsize=13,
            fontweight="bold",
            path_effects=halo(2.5),
        )
