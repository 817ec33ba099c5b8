"""What libraries would tell of a patient stays out of the logs."""

import subprocess
import sys

import pytest

TOLD = """
import logging, sys
from radiarch_common.telemetry import configure_logging
configure_logging("importer", "DEBUG")
logging.getLogger(sys.argv[1]).log(int(sys.argv[2]), "study 1.2.3")
"""


@pytest.mark.parametrize(
    ("logger", "level", "kept"),
    [
        ("dicomweb_client.web", 20, False),
        ("httpx", 20, False),
        ("urllib3.connectionpool", 10, False),
        ("urllib3.connectionpool", 30, False),
        ("fontTools.subset", 20, False),
        ("radiarch_importer", 10, True),
    ],
)
def test_libraries_that_name_studies_are_not_heard(logger: str, level: int, kept: bool) -> None:
    """Fails when the requests of DICOMweb, with their UIDs, or a font's hundred lines a plan, stand in the log.

    In a process of its own, since it takes the place of every handler.
    """
    done = subprocess.run(
        [sys.executable, "-c", TOLD, logger, str(level)], check=True, capture_output=True, text=True, timeout=60
    )
    assert ("study 1.2.3" in done.stderr) == kept
