"""Structures that a plan derives from others: margins, rings, unions, intersections, subtractions.

Directions are the patient's (right, left, anterior, posterior, superior, inferior), whatever position it lies in.
A structure may be made of the structure set's and of those derived before it; its name must be none of theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from radiarch_common.base import BODY, TARGET, Model, Name

Millimetres = Annotated[float, Field(ge=-50.0, le=50.0, allow_inf_nan=False)]


class Sides(Model):
    """A margin for each anatomical side, mm; all of one sign, what is left out is 0."""

    right_mm: Millimetres = 0.0
    left_mm: Millimetres = 0.0
    anterior_mm: Millimetres = 0.0
    posterior_mm: Millimetres = 0.0
    superior_mm: Millimetres = 0.0
    inferior_mm: Millimetres = 0.0

    @model_validator(mode="after")
    def _of_one_sign(self) -> Self:
        values = self.lower_mm + self.upper_mm
        if min(values) < 0 < max(values):
            raise ValueError("a margin grows or shrinks: its sides must all be of one sign")
        return self

    @classmethod
    def all_round(cls, margin_mm: float) -> "Sides":
        """The same margin on every side."""
        return cls(
            right_mm=margin_mm,
            left_mm=margin_mm,
            anterior_mm=margin_mm,
            posterior_mm=margin_mm,
            superior_mm=margin_mm,
            inferior_mm=margin_mm,
        )

    @property
    def lower_mm(self) -> tuple[float, float, float]:
        """Towards falling x, y, z of the patient system (LPS): right, anterior, inferior."""
        return self.right_mm, self.anterior_mm, self.inferior_mm

    @property
    def upper_mm(self) -> tuple[float, float, float]:
        """Towards rising x, y, z of the patient system (LPS): left, posterior, superior."""
        return self.left_mm, self.posterior_mm, self.superior_mm


class _Derived(Model):
    name: Name = Field(description="Of the new structure; no structure of the set may have it.")
    crop_to: Name | None = Field(
        default=None, description="Only what lies in this structure is kept; `{body}` stands for the body outline."
    )


class MarginStructure(_Derived):
    """A structure grown by a margin (negative: shrunk).

    A point is inside when its distance from the structure is at most the margin. With sides that differ, the margin
    is an ellipsoid in each octant: its semi-axes are the margins of the three sides that the octant looks to.
    """

    kind: Literal["margin"]
    of: Name
    margin_mm: Millimetres | None = Field(default=None, description="The same on every side; or give `sides`.")
    sides: Sides | None = None

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if (self.margin_mm is None) == (self.sides is None):
            raise ValueError("a margin needs either margin_mm or sides")
        return self

    @property
    def all_sides(self) -> Sides:
        """The margin on every side."""
        return self.sides or Sides.all_round(self.margin_mm or 0.0)

    @property
    def operands(self) -> tuple[str, ...]:
        """Structures that it is made of."""
        return _with_crop((self.of,), self.crop_to)

    @property
    def recipe(self) -> str:
        """How it is made, in words."""
        if self.margin_mm is not None:
            text = f"{self.of} {self.margin_mm:+g} mm"
        else:
            sides = self.all_sides.model_dump()
            text = f"{self.of} " + ", ".join(f"{side[:-3]} {mm:+g} mm" for side, mm in sides.items())
        return _cropped(text, self.crop_to)


class RingStructure(_Derived):
    """What lies around a structure, from one distance of its surface to another (negative: inside it)."""

    kind: Literal["ring"]
    of: Name
    from_mm: Millimetres
    to_mm: Annotated[float, Field(ge=-50.0, le=100.0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _from_in_to_out(self) -> Self:
        if self.from_mm >= self.to_mm:
            raise ValueError(f"a ring goes outwards: from_mm ({self.from_mm:g}) must be below to_mm ({self.to_mm:g})")
        return self

    @property
    def operands(self) -> tuple[str, ...]:
        """Structures that it is made of."""
        return _with_crop((self.of,), self.crop_to)

    @property
    def recipe(self) -> str:
        """How it is made, in words."""
        return _cropped(f"ring of {self.from_mm:g} to {self.to_mm:g} mm around {self.of}", self.crop_to)


class CombinedStructure(_Derived):
    """Union or intersection of structures, or the first of them without the others."""

    kind: Literal["union", "intersection", "subtraction"]
    of: tuple[Name, ...] = Field(min_length=2, max_length=16)

    @property
    def operands(self) -> tuple[str, ...]:
        """Structures that it is made of."""
        return _with_crop(self.of, self.crop_to)

    @property
    def recipe(self) -> str:
        """How it is made, in words."""
        if self.kind == "subtraction":
            return _cropped(f"{self.of[0]} without {', '.join(self.of[1:])}", self.crop_to)
        return _cropped(f"{self.kind} of {', '.join(self.of)}", self.crop_to)


DerivedStructure = Annotated[MarginStructure | RingStructure | CombinedStructure, Field(discriminator="kind")]


def named_for(derived: DerivedStructure, names: Mapping[str, str]) -> DerivedStructure:
    """The same structure with its operands renamed, such as ``{target}`` to the prescription's."""
    crop_to = None if derived.crop_to is None else names.get(derived.crop_to, derived.crop_to)
    if isinstance(derived, CombinedStructure):
        of = tuple(names.get(name, name) for name in derived.of)
        return derived.model_copy(update={"of": of, "crop_to": crop_to})
    return derived.model_copy(update={"of": names.get(derived.of, derived.of), "crop_to": crop_to})


def check_names(derived: Sequence[DerivedStructure]) -> None:
    """Refuse names given twice, and those that stand for others. Raises ValueError."""
    seen: set[str] = set()
    for structure in derived:
        if structure.name in (TARGET, BODY):
            raise ValueError(f"'{structure.name}' stands for another structure and cannot be a derived one's name")
        if structure.name in seen:
            raise ValueError(f"two derived structures are named '{structure.name}'")
        if structure.name in structure.operands:
            raise ValueError(f"derived structure '{structure.name}' is made of itself")
        seen.add(structure.name)


def drawn_sources(name: str, derived: Iterable[DerivedStructure]) -> tuple[str, ...]:
    """Structures of the set that a structure is made of: itself when it is not derived; each once.

    ``{body}`` is not among them: which structure that is, the case says.
    """
    recipes = {structure.name: structure for structure in derived}
    found: dict[str, None] = {}
    open_names = [name]
    asked: set[str] = set()
    while open_names:
        here = open_names.pop()
        if here in asked:
            continue
        asked.add(here)
        if here in recipes:
            open_names += reversed(recipes[here].operands)
        elif here != BODY:
            found[here] = None
    return tuple(found)


def _with_crop(of: tuple[str, ...], crop_to: str | None) -> tuple[str, ...]:
    return of if crop_to is None else (*of, crop_to)


def _cropped(text: str, crop_to: str | None) -> str:
    return text if crop_to is None else f"{text}, inside {crop_to}"
