"""Debian's DICOM validator, which knows the standard and nothing of our code."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from radiarch_testkit.require import require


def remarks(data: bytes, folder: Path) -> list[str]:
    """Errors and warnings of ``dciodvfy -new`` about a DICOM file; skips the test where it is not installed.

    Parameters
    ----------
    data
        The file.
    folder
        Where the validator's copy is written.
    """
    program = shutil.which("dciodvfy")
    require(program is not None, "dciodvfy is not installed (Debian: dicom3tools)")
    record = dcmread(BytesIO(data))
    if record.get("BitsAllocated") == 32:
        _wrap_pixels(record)
    file = folder / "validated.dcm"
    record.save_as(file)
    run = subprocess.run([str(program), "-new", str(file)], capture_output=True, text=True, check=False)
    lines = (run.stdout + run.stderr).splitlines()
    if run.returncode < 0 or not lines:
        raise RuntimeError(f"dciodvfy ended with {run.returncode} and judged nothing: {lines}")
    return [line for line in lines if line.startswith(("Error", "Warning"))]


def _wrap_pixels(record: Dataset) -> None:
    """Put the pixels into fragments: the validator aborts on native pixels of 32 bits, which the standard allows.

    It judges every other element, and does not look into fragments.
    """
    frames = int(record.get("NumberOfFrames", 1))
    size = len(record.PixelData) // frames
    record.PixelData = encapsulate([record.PixelData[k * size : (k + 1) * size] for k in range(frames)])
    record["PixelData"].VR = "OB"
    record["PixelData"].is_undefined_length = True
    record.file_meta.TransferSyntaxUID = RLELossless
