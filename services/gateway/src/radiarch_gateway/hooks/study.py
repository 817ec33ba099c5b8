"""A study as far as rules care about it: its series, and what its structure sets draw on what."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field
from radiarch_common.maker import MANUFACTURER, MODEL

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True)
class Series:
    """One series. ``arrived_at`` is when its latest instance came, by this server's clock."""

    uid: str
    modality: str
    description: str
    arrived_at: datetime
    sop_uids: frozenset[str]


@dataclass(frozen=True)
class StructureSet:
    """One RTSTRUCT: names of its structures, and the series and CT images that it refers to."""

    sop_uid: str
    arrived_at: datetime
    structures: tuple[str, ...]
    series_uids: frozenset[str]
    image_uids: frozenset[str]


@dataclass(frozen=True)
class Study:
    """A study in a PACS; structure sets of our own making are left out, plans and doses belong to no rule."""

    pacs: str
    study_instance_uid: str
    description: str
    series: tuple[Series, ...]
    structure_sets: tuple[StructureSet, ...]

    def ct_of(self, structure_set: StructureSet) -> tuple[Series, ...]:
        """The CT series that a structure set refers to and that are here, by series or by image."""
        return tuple(
            one
            for one in self.series
            if one.modality == "CT"
            and (one.uid in structure_set.series_uids or one.sop_uids & structure_set.image_uids)
        )


def content_key(rule_id: str, study: Study, structure_set: StructureSet, ct: Series) -> str:
    """Digest of what would be planned: the same images and structures are planned once by a rule, in any PACS."""
    said = [rule_id, study.study_instance_uid, structure_set.sop_uid, sorted(ct.sop_uids)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class _Image(BaseModel):
    sop_class_uid: str | None = Field(default=None, alias="ReferencedSOPClassUID")
    sop_uid: str | None = Field(default=None, alias="ReferencedSOPInstanceUID")


class _Images(BaseModel):
    images: list[_Image] = Field(default_factory=list[_Image], alias="ContourImageSequence")
    series_uid: str | None = Field(default=None, alias="SeriesInstanceUID")

    def ct(self) -> Iterable[str]:
        return (i.sop_uid for i in self.images if i.sop_uid is not None and i.sop_class_uid == CT_IMAGE_STORAGE)


class _ReferencedStudy(BaseModel):
    series: list[_Images] = Field(default_factory=list[_Images], alias="RTReferencedSeriesSequence")


class _Frame(BaseModel):
    studies: list[_ReferencedStudy] = Field(default_factory=list[_ReferencedStudy], alias="RTReferencedStudySequence")


class _Roi(BaseModel):
    name: str | None = Field(default=None, alias="ROIName")


class _Contours(BaseModel):
    contours: list[_Images] = Field(default_factory=list[_Images], alias="ContourSequence")


class StructureSetTags(BaseModel):
    """What is read of an RTSTRUCT's JSON: keywords as names, values as texts, sequences as lists."""

    sop_uid: str = Field(alias="SOPInstanceUID")
    manufacturer: str | None = Field(default=None, alias="Manufacturer")
    model: str | None = Field(default=None, alias="ManufacturerModelName")
    rois: list[_Roi] = Field(default_factory=list[_Roi], alias="StructureSetROISequence")
    frames: list[_Frame] = Field(default_factory=list[_Frame], alias="ReferencedFrameOfReferenceSequence")
    drawn: list[_Contours] = Field(default_factory=list[_Contours], alias="ROIContourSequence")

    @property
    def ours(self) -> bool:
        """Whether Radiarch made it."""
        return (self.manufacturer, self.model) == (MANUFACTURER, MODEL)

    def structure_set(self, arrived_at: datetime) -> StructureSet:
        """The structure set that it describes."""
        referenced = [one for frame in self.frames for study in frame.studies for one in study.series]
        drawn = [contour for roi in self.drawn for contour in roi.contours]
        return StructureSet(
            sop_uid=self.sop_uid,
            arrived_at=arrived_at,
            structures=tuple(roi.name.strip() for roi in self.rois if roi.name),
            series_uids=frozenset(one.series_uid for one in referenced if one.series_uid),
            image_uids=frozenset(uid for one in (*referenced, *drawn) for uid in one.ct()),
        )
