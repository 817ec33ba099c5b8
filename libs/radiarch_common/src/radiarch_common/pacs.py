"""PACS: DICOMweb or a folder of DICOM files, behind one interface.

Whoever reads DICOM imports from here.
"""

from pydicom import config

from radiarch_common.archive import InstanceRef, Pacs, StoreReport
from radiarch_common.pacs_folder import FolderPacs
from radiarch_common.pacs_web import WebPacs
from radiarch_common.settings import FolderPacsSettings, Settings

__all__ = ["FolderPacs", "InstanceRef", "Pacs", "StoreReport", "WebPacs", "open_pacs"]

# pydicom's warnings about odd values quote them, and values are patient data: they must not reach a log.
config.settings.reading_validation_mode = config.IGNORE


def open_pacs(settings: Settings) -> dict[str, Pacs]:
    """The archives that the settings name, by name; none is contacted yet."""
    opened: dict[str, Pacs] = {}
    for name, pacs in settings.pacs.items():
        if isinstance(pacs, FolderPacsSettings):
            opened[name] = FolderPacs(name, pacs.folder)
        else:
            opened[name] = WebPacs(name, pacs)
    return opened
