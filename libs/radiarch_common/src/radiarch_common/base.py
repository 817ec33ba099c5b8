"""What every model of the contract is, and how names are written in it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]

TARGET = "{target}"
"""In a workflow: the structure that the prescription names."""
BODY = "{body}"
"""In a workflow: the case's body outline."""


class Model(BaseModel):
    """Frozen, and closed to unknown fields: a misspelt override is refused, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
