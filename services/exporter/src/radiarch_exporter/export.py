"""A result becomes artifacts: in the object store, and for DICOM in the PACS too, verified there.

Layout in the object store::

    artifacts/<job>/<first 16 digits of the result's digest>/RTPLAN.dcm RTDOSE.dcm dvh.json dvh.csv dose.png
        plan.json report.html report.pdf

Everything is a function of job and result. What lies under its key already is taken as it is: an archive
keeps the old bytes under an old UID, so a later version of this program must not make others.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from typing import Literal

from pydicom import Dataset, dcmread
from radiarch_common.case import Case
from radiarch_common.messages import Artifact, ExportResult
from radiarch_common.objects import ObjectStore
from radiarch_common.pacs import Pacs
from radiarch_common.result import Result
from radiarch_common.watch import Watch

from radiarch_exporter.archive import read_back, send
from radiarch_exporter.dose import rt_dose
from radiarch_exporter.dvh_tables import dvh_csv, dvh_json
from radiarch_exporter.ion_plan import ion_plan
from radiarch_exporter.picture import dose_png
from radiarch_exporter.plan_json import plan_json
from radiarch_exporter.record import encoded
from radiarch_exporter.report.build import plan_report
from radiarch_exporter.report.html import report_html
from radiarch_exporter.report.pdf import report_pdf

DICOM = "application/dicom"


@dataclass(frozen=True)
class Product:
    """One file to be made: what it is, and how."""

    name: str
    kind: Literal["RTPLAN", "RTDOSE", "DVH", "PICTURE", "REPORT"]
    media_type: str
    make: Callable[[], bytes]


def export_result(
    job: ExportResult, case: Case, result: Result, objects: ObjectStore, pacs: Pacs, watch: Watch
) -> list[Artifact]:
    """Make every file of a result, store them, send the DICOM ones and read them back.

    Safe to run again for the same job: it makes nothing new.

    Raises
    ------
    RefusedError
        If the plan cannot be written as DICOM.
    ArchiveError
        If the PACS does not hold afterwards what was sent; worth another try.
    UnavailableError
        If object store or PACS do not answer.
    StoppedError
        If asked to stop.
    """
    if result.manifest.provenance.case_sha256 != case.sha256:
        raise ValueError(f"result {result.key} was not made from case {case.sha256}")
    folder = f"artifacts/{job.job_id}/{result.manifest.digest[:16]}"
    artifacts: list[Artifact] = []
    records: list[Dataset] = []
    products = _products(job, case, result)
    for index, product in enumerate(products):
        watch.progress(0.6 * index / len(products), f"writing {product.name}")
        with watch.timed(product.name):
            artifact, data = _kept(objects, f"{folder}/{product.name}", product)
        if product.media_type == DICOM:
            record = dcmread(BytesIO(data))
            records.append(record)
            artifact = _addressed(artifact, record, pacs)
        artifacts.append(artifact)
    _deliver(pacs, records, watch)
    return artifacts


def _products(job: ExportResult, case: Case, result: Result) -> list[Product]:
    what = job, case.manifest, result.manifest
    report = cache(partial(plan_report, job, case, result))
    return [
        Product("RTPLAN.dcm", "RTPLAN", DICOM, lambda: encoded(ion_plan(*what))),
        Product("RTDOSE.dcm", "RTDOSE", DICOM, lambda: encoded(rt_dose(*what, result.dose_gy_rbe()))),
        Product("dvh.json", "DVH", "application/json", lambda: dvh_json(result.manifest)),
        Product("dvh.csv", "DVH", "text/csv", lambda: dvh_csv(result.manifest)),
        Product("dose.png", "PICTURE", "image/png", lambda: dose_png(job, case, result)),
        Product("plan.json", "REPORT", "application/json", lambda: plan_json(*what)),
        Product("report.html", "REPORT", "text/html", lambda: report_html(report())),
        Product("report.pdf", "REPORT", "application/pdf", lambda: report_pdf(report(), job.created_at)),
    ]


def _kept(objects: ObjectStore, key: str, product: Product) -> tuple[Artifact, bytes]:
    """What lies under ``key``, made first when nothing does."""
    if objects.exists(key):
        data = objects.get(key)
    else:
        data = product.make()
        objects.put(key, data)
    artifact = Artifact(
        name=product.name,
        kind=product.kind,
        media_type=product.media_type,
        key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )
    return artifact, data


def _addressed(artifact: Artifact, record: Dataset, pacs: Pacs) -> Artifact:
    uids = str(record.StudyInstanceUID), str(record.SeriesInstanceUID), str(record.SOPInstanceUID)
    return artifact.model_copy(update={"sop_instance_uid": uids[2], "dicomweb_url": pacs.url_of(*uids)})


def _deliver(pacs: Pacs, records: list[Dataset], watch: Watch) -> None:
    watch.progress(0.6, f"sending plan and dose to PACS '{pacs.name}'")
    watch.check()
    with watch.timed("store"):
        send(pacs, records)
    watch.progress(0.8, f"reading plan and dose back from PACS '{pacs.name}'")
    with watch.timed("read back"):
        for record in records:
            read_back(pacs, record)
    watch.progress(1.0, f"plan and dose are in PACS '{pacs.name}'")
