"""What a target must be like, drawn or derived."""

from radiarch_common.errors import RefusedError

OUTSIDE_BODY_AT_MOST = 0.05
"""Share of the target's volume: outlines are drawn to a voxel, and margins may touch the skin."""


def check_inside_body(target: str, outside: float) -> None:
    """Refuse a target that lies outside the body by more than ``OUTSIDE_BODY_AT_MOST``.

    Parameters
    ----------
    outside
        Share of the target's volume, 0..1, that no body voxel covers.

    Raises
    ------
    RefusedError
        Which says by how much.
    """
    if outside > OUTSIDE_BODY_AT_MOST:
        raise RefusedError(
            f"{outside:.1%} of target '{target}' lies outside the body or the CT; "
            f"at most {OUTSIDE_BODY_AT_MOST:.0%} may.",
            "Crop the target to the body, or correct the body contour.",
        )
