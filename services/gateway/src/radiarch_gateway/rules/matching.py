"""Whether a rule is for a study, and for which of its structure sets. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from radiarch_gateway.hooks.study import Series, StructureSet, Study
from radiarch_gateway.rules.body import Match


class Outcome(StrEnum):
    """What became of a study under a rule."""

    PLANNED = "planned"
    WAITING = "waiting"
    REFUSED = "refused"
    NO_MATCH = "no_match"


@dataclass(frozen=True)
class Ready:
    """A structure set that matches, whole, with the CT that it was drawn on."""

    structure_set: StructureSet
    ct: Series

    @property
    def arrived_at(self) -> datetime:
        """When the latest part of it came."""
        return max(self.structure_set.arrived_at, self.ct.arrived_at)


@dataclass(frozen=True)
class Matched:
    """What matching found: structure sets that are ready, and what stands against the study or the others."""

    ready: tuple[Ready, ...] = ()
    outcome: Outcome = Outcome.NO_MATCH
    why: tuple[str, ...] = ()


def match(rule: Match, study: Study) -> Matched:
    """Hold a rule against a study. What it says names patterns and counts, never what the study holds."""
    against = _against_study(rule, study)
    if against:
        return Matched(why=tuple(against))
    missing = _missing(rule, study)
    if missing:
        return Matched(outcome=Outcome.WAITING, why=(f"The study has no {', '.join(missing)} (yet).",))
    found = [_of_structure_set(rule, study, one) for one in study.structure_sets]
    ready = tuple(one for each in found for one in each.ready)
    rest = sorted((each for each in found if not each.ready), key=lambda each: _RANK[each.outcome])
    if ready or not rest:
        return Matched(ready=ready)
    return Matched(outcome=rest[0].outcome, why=tuple(dict.fromkeys(why for each in rest for why in each.why)))


_RANK = {Outcome.WAITING: 0, Outcome.REFUSED: 1, Outcome.NO_MATCH: 2, Outcome.PLANNED: 3}


def _against_study(rule: Match, study: Study) -> list[str]:
    found: list[str] = []
    if rule.pacs is not None and study.pacs not in rule.pacs:
        found.append(f"It is not in PACS {_either(rule.pacs)}.")
    if rule.study_description is not None and not _any(rule.study_description, study.description):
        found.append(f"The study's description is not like {_either(rule.study_description)}.")
    return found


def _missing(rule: Match, study: Study) -> list[str]:
    here = {one.modality for one in study.series if one.modality != "RTSTRUCT"}
    here |= {"RTSTRUCT"} if study.structure_sets else set[str]()
    return [one for one in dict.fromkeys([*rule.modalities, "RTSTRUCT"]) if one not in here]


def _of_structure_set(rule: Match, study: Study, one: StructureSet) -> Matched:
    lacking = [glob for glob in rule.structures if not any(_like(glob, name) for name in one.structures)]
    if lacking:
        return Matched(why=(f"No structure is named like {_either(lacking)}.",))
    if not one.series_uids and not one.image_uids:
        return Matched(outcome=Outcome.REFUSED, why=("The structure set does not say on which CT it was drawn.",))
    found = study.ct_of(one)
    if len(found) > 1:
        return Matched(outcome=Outcome.REFUSED, why=(f"The structure set refers to {len(found)} CT series.",))
    if not found:
        return Matched(outcome=Outcome.WAITING, why=("The CT that was drawn on is not there (yet).",))
    return _of_ct(rule, one, found[0])


def _of_ct(rule: Match, one: StructureSet, ct: Series) -> Matched:
    if rule.series_description is not None and not _any(rule.series_description, ct.description):
        return Matched(why=(f"The CT's description is not like {_either(rule.series_description)}.",))
    absent = len(one.image_uids - ct.sop_uids)
    if absent:
        why = f"{absent} of {len(one.image_uids)} CT slices that were drawn on are not there (yet)."
        return Matched(outcome=Outcome.WAITING, why=(why,))
    return Matched(ready=(Ready(one, ct),))


def _either(globs: Sequence[str]) -> str:
    return " or ".join(f"'{glob}'" for glob in globs)


def _any(globs: Sequence[str], text: str) -> bool:
    return any(_like(glob, text) for glob in globs)


def _like(glob: str, text: str) -> bool:
    return fnmatchcase(text.strip().casefold(), glob.casefold())
