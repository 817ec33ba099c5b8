"""How DICOM that Radiarch made is known: the exporter writes it, and whoever watches a PACS leaves it out."""

from typing import Final

MANUFACTURER: Final = "Radiarch"
MODEL: Final = "Radiarch"
"""Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090) together; the phantom has another model."""
