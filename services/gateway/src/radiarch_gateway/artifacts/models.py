"""The artifacts table, and an artifact as users see it."""

from pydantic import BaseModel, Field
from sqlalchemy import BigInteger
from sqlmodel import Field as Column
from sqlmodel import SQLModel


class ArtifactRow(SQLModel, table=True):
    """One file that a job left in the object store."""

    __tablename__ = "artifacts"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Column(primary_key=True, max_length=40)
    job_id: str = Column(foreign_key="jobs.id", index=True, max_length=40)
    position: int
    name: str
    kind: str = Column(max_length=16)
    media_type: str
    key: str = Column(max_length=512)
    sha256: str = Column(max_length=64)
    size_bytes: int = Column(sa_type=BigInteger)
    sop_instance_uid: str | None = Column(default=None, max_length=64)
    dicomweb_url: str | None = None


class ArtifactView(BaseModel):
    """One file of a plan."""

    id: str
    name: str = Field(examples=["RTDOSE.dcm"])
    kind: str = Field(examples=["RTPLAN", "RTDOSE", "DVH", "PICTURE", "REPORT"])
    media_type: str
    size_bytes: int
    sha256: str
    download_url: str = Field(description="Path of the bytes on this gateway.")
    sop_instance_uid: str | None = None
    dicomweb_url: str | None = Field(default=None, description="The instance in the PACS, as users reach it.")
