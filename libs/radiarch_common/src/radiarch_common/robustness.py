"""Errors that a plan shall withstand, and the scenarios that stand for them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from radiarch_common.base import Model

SetupError = Annotated[float, Field(ge=0.0, le=20.0)]


class Scenario(Model):
    """One way in which a treatment may differ from its plan.

    Attributes
    ----------
    setup_mm
        How far the isocentre lies from where it was planned in the patient: LPS, mm.
    range_percent
        By how much every mass density is higher than the CT calibration says: protons stop that much earlier.
    """

    name: str
    setup_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    range_percent: float = 0.0


NOMINAL = Scenario(name="nominal")
"""As planned."""


class Robustness(Model):
    """Errors of setup and range, and what is made of them.

    ``optimise`` says what robust objectives look at: the ``worst case`` of all scenarios, their ``expected value``
    (each scenario counts the same), or the ``nominal`` case alone. The scenarios are evaluated in any case.
    """

    setup_mm: tuple[SetupError, SetupError, SetupError] = Field(
        description="Shift along x, y and z (LPS), to either side, mm; 0 leaves an axis out."
    )
    range_percent: float = Field(ge=0.0, le=10.0, description="Of the density, to either side; 0 leaves it out.")
    optimise: Literal["worst case", "expected value", "nominal"]
    primaries_per_scenario: int = Field(
        ge=10_000, le=1_000_000_000, description="Protons per beam for the dose of each scenario but the nominal one."
    )

    @model_validator(mode="after")
    def _there_are_errors(self) -> Self:
        if len(self.scenarios()) == 1:
            raise ValueError("all errors of setup and range are 0: give one that the plan shall withstand")
        return self

    def scenarios(self) -> tuple[Scenario, ...]:
        """The nominal scenario, then each error alone, to either side."""
        found = [NOMINAL]
        for axis, letter in enumerate("xyz"):
            for sign, word in ((1.0, "+"), (-1.0, "-")):
                size = self.setup_mm[axis]
                if size > 0:
                    shift = [0.0, 0.0, 0.0]
                    shift[axis] = sign * size
                    name = f"setup {letter} {word}{size:g} mm"
                    found.append(Scenario(name=name, setup_mm=(shift[0], shift[1], shift[2])))
        for sign, word in ((1.0, "+"), (-1.0, "-")):
            if self.range_percent > 0:
                name = f"density {word}{self.range_percent:g} %"
                found.append(Scenario(name=name, range_percent=sign * self.range_percent))
        return tuple(found)
