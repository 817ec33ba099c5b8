"""Structure names against a dictionary of AAPM Report 263: what looks like one of its names is said, never renamed."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError
from radiarch_common.base import Model, Name
from radiarch_common.case import Structure

SHIPPED = Path(__file__).parent / "tg263.toml"

_SIDES = {"l": "L", "lt": "L", "left": "L", "r": "R", "rt": "R", "right": "R"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")


class _Entry(Model):
    name: Name
    sided: bool = False
    also: tuple[Name, ...] = ()


class _File(Model):
    version: str
    structure: tuple[_Entry, ...] = Field(min_length=1)


class NameDictionary:
    """Standard names and how else they are written.

    Parameters
    ----------
    entries
        Name, whether there is one for each side, and other spellings of it.

    Raises
    ------
    ValueError
        If one spelling stands for two names.
    """

    def __init__(self, entries: Iterable[tuple[str, bool, Iterable[str]]]) -> None:
        self._standard: set[str] = set()
        self._spellings: dict[str, str] = {}
        self._sided: set[str] = set()
        for name, sided, also in entries:
            self._standard |= {f"{name}_L", f"{name}_R"} if sided else {name}
            if sided:
                self._sided.add(name)
            for spelling in (name, *also):
                key = _plain(_words(spelling))
                if self._spellings.setdefault(key, name) != name:
                    raise ValueError(f"'{spelling}' is given for '{name}' and for '{self._spellings[key]}'")

    @classmethod
    def read(cls, path: Path = SHIPPED) -> Self:
        """The dictionary of a TOML file. Raises ValueError, naming the file, when it cannot be used."""
        try:
            file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
            return cls((entry.name, entry.sided, entry.also) for entry in file.structure)
        except (OSError, ValidationError, ValueError) as error:
            raise ValueError(f"the structure names in {path} cannot be used: {error}") from error

    def looks_like(self, name: str) -> str | None:
        """The standard name that a name is another spelling of; None when it is standard itself, or unknown."""
        if name in self._standard:
            return None
        words = _words(name)
        whole = self._spellings.get(_plain(words))
        if whole is not None and whole not in self._sided:
            return whole
        for side, rest in _sides(words):
            found = self._spellings.get(_plain(rest))
            if found in self._sided:
                return f"{found}_{side}"
        return None

    def warnings(self, structures: Iterable[Structure]) -> tuple[str, ...]:
        """A warning for each drawn structure whose name is another spelling of a standard one."""
        found = ((s.name, self.looks_like(s.name)) for s in structures if not s.derived)
        return tuple(
            f"Structure '{name}' looks like '{standard}' of TG-263; its name is used as it is."
            for name, standard in found
            if standard is not None
        )


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _plain(words: Iterable[str]) -> str:
    return "".join(words)


def _sides(words: list[str]) -> Iterable[tuple[str, list[str]]]:
    """Side and the other words, for a side before or after them."""
    if len(words) > 1:
        if words[-1] in _SIDES:
            yield _SIDES[words[-1]], words[:-1]
        if words[0] in _SIDES:
            yield _SIDES[words[0]], words[1:]
