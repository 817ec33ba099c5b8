"""What a rule says: which studies, and how they are planned."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from radiarch_gateway.plans.request import Closed, PlanTemplate

Modality = Literal["CT", "MR", "PT", "RTSTRUCT", "SEG"]
Glob = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True, pattern=r"^[^\x00-\x1f]+$")]
"""``*``, ``?`` and ``[...]``, in any case. No regular expressions: one can keep a server busy for ever."""
PacsName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Match(Closed):
    """Which studies a rule is for; everything that is said must hold."""

    pacs: list[PacsName] | None = Field(
        default=None, min_length=1, max_length=16, description="Connectors that it is for; left out: all watched ones."
    )
    modalities: list[Modality] = Field(
        default_factory=lambda: list[Modality](["CT", "RTSTRUCT"]),
        min_length=1,
        max_length=5,
        description="All of these are in the study.",
    )
    study_description: list[Glob] | None = Field(
        default=None, min_length=1, max_length=16, description="One of these is the study's description."
    )
    series_description: list[Glob] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="One of these is the description of the CT series that was drawn on.",
    )
    structures: list[Glob] = Field(
        default_factory=list,
        max_length=32,
        description="For each of these the structure set has a structure; the target's name need not be repeated.",
    )


class RuleBody(Closed):
    """A rule. The structure set is the one that matches; the target is spelt as the structure set spells it."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    match: Match = Field(default_factory=Match)
    request: PlanTemplate = Field(description="What is asked for, as `POST /plans` takes it.")
