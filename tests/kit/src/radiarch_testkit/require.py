"""Skip or fail: a server that a machine lacks is skipped with its reason, and fails where all are required."""

import os

import pytest


def require(condition: bool, reason: str) -> None:
    """Go on when ``condition`` holds; else skip, or fail when ``RADIARCH_REQUIRE=all``."""
    if condition:
        return
    if os.environ.get("RADIARCH_REQUIRE") == "all":
        pytest.fail(f"{reason} (RADIARCH_REQUIRE=all)", pytrace=False)
    pytest.skip(reason)
