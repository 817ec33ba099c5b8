"""Arrays as NRRD files, which 3D Slicer and SimpleITK open in the right place of the patient."""

from io import BytesIO
from typing import Any, cast

import nrrd
import numpy as np
import numpy.typing as npt

from radiarch_common.geometry import Grid


def to_nrrd(array: npt.NDArray[Any], grid: Grid, unit: str) -> bytes:
    """An array of shape (z, y, x) on ``grid`` as a gzip-compressed NRRD file.

    The same array gives the same bytes. ``unit`` ("HU", "Gy", "fraction / 255") is kept in the header.
    """
    if array.shape != grid.shape:
        raise ValueError(f"array of shape {array.shape} does not lie on a grid of shape {grid.shape}")
    header = {
        "space": "left-posterior-superior",
        "space directions": np.diag(grid.spacing_mm),
        "space origin": np.asarray(grid.origin_mm),
        "space units": ["mm", "mm", "mm"],
        "kinds": ["domain", "domain", "domain"],
        "encoding": "gzip",
        "content": unit,
    }
    out = BytesIO()
    nrrd.write(out, np.ascontiguousarray(array), header, index_order="C", compression_level=1)
    head, data = out.getvalue().split(b"\n\n", 1)
    # pynrrd writes the time of day into a comment; the same array must give the same bytes.
    lines = [line for line in head.split(b"\n") if not line.startswith(b"#")]
    return b"\n".join(lines) + b"\n\n" + data


def from_nrrd(data: bytes) -> tuple[npt.NDArray[Any], Grid]:
    """The array, shape (z, y, x), and its grid, of a file that ``to_nrrd`` wrote."""
    stream = BytesIO(data)
    header = nrrd.read_header(stream)
    array = cast("npt.NDArray[Any]", nrrd.read_data(header, stream, index_order="C"))
    directions = np.asarray(header["space directions"], dtype=np.float64)
    origin = np.asarray(header["space origin"], dtype=np.float64)
    nz, ny, nx = array.shape
    grid = Grid(
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        spacing_mm=(float(directions[0, 0]), float(directions[1, 1]), float(directions[2, 2])),
        size=(nx, ny, nz),
    )
    return array, grid
