"""A PACS that speaks DICOMweb."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread

from radiarch_common.archive import InstanceRef, StoreReport
from radiarch_common.errors import UnavailableError
from radiarch_common.part10 import UNREADABLE, encoded, unreadable
from radiarch_common.settings import WebPacsSettings

CONNECT_TIMEOUT_S = 5.0
PAGE = 1000
STORED_AT_ONCE = 32

FAILURE_REASONS = {
    0x0110: "processing failure",
    0x0112: "no such SOP instance",
    0x0119: "class and instance do not agree",
    0x0122: "SOP class is not supported",
    0x0124: "not authorised",
    0xA700: "out of resources",
    0xA900: "dataset does not match its SOP class",
    0xC000: "dataset cannot be understood",
}
"""Failure Reason (0008,1197), DICOM PS3.18 table 10.5.3-1 and PS3.4 table B.2-1."""

_TRY_LATER = (408, 425, 429)
_NOT_LET_IN = (401, 403, 407)


class WebPacs:
    """An archive behind QIDO-RS, WADO-RS and STOW-RS; each thread has a connection of its own."""

    def __init__(self, name: str, settings: WebPacsSettings) -> None:
        self.name = name
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._public_url = (settings.public_url or settings.url).rstrip("/")
        self._mine = threading.local()

    def instances(self, study_instance_uid: str, series_instance_uid: str | None = None) -> list[InstanceRef]:
        """See ``Pacs.instances``; asks page by page, since servers limit what one answer holds."""
        found: dict[str, InstanceRef] = {}
        with self._errors():
            while page := self._page(study_instance_uid, series_instance_uid, offset=len(found)):
                before = len(found)
                found |= {ref.sop_instance_uid: ref for ref in page}
                # A short page may still be a server's own limit; one that brings nothing new is the end.
                if len(found) == before:
                    break
        return list(found.values())

    def iter_series(self, study_instance_uid: str, series_instance_uid: str) -> Iterator[Dataset]:
        """See ``Pacs.iter_series``. Raises RefusedError that names an instance that cannot be read."""
        try:
            with self._errors():
                yield from self._client().iter_series(study_instance_uid, series_instance_uid)
        except (requests.HTTPError, *UNREADABLE) as error:
            if isinstance(error, requests.HTTPError) and _status(error) == 404:
                return
            self._name_the_unreadable(study_instance_uid, series_instance_uid)
            raise UnavailableError(self._who, f"a series broke off ({type(error).__name__})") from error

    def instance(self, ref: InstanceRef) -> Dataset | None:
        """See ``Pacs.instance``. Raises RefusedError when it cannot be read."""
        try:
            with self._errors():
                return self._client().retrieve_instance(
                    ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid
                )
        except (requests.HTTPError, *UNREADABLE) as error:
            if isinstance(error, requests.HTTPError) and _status(error) == 404:
                return None
            # An archive that finds a file damaged says 400 or the like: it has the instance and cannot give it.
            raise unreadable(ref.sop_instance_uid, error) from error

    def store(self, datasets: Sequence[Dataset]) -> StoreReport:
        """See ``Pacs.store``.

        An instance counts as stored when the archive's answer names it as stored, or when the archive then
        lists it; the status of the answer alone proves nothing.
        """
        stored: list[str] = []
        failed: list[tuple[str, str]] = []
        for start in range(0, len(datasets), STORED_AT_ONCE):
            report = self._store_some(datasets[start : start + STORED_AT_ONCE])
            stored += report.stored
            failed += report.failed
        return StoreReport(stored=tuple(stored), failed=tuple(failed))

    def url_of(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> str | None:
        """See ``Pacs.url_of``."""
        return (
            f"{self._public_url}/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"
        )

    @property
    def can_remove(self) -> bool:
        """See ``Pacs.can_remove``: where Orthanc's own REST API is known."""
        return self._settings.orthanc_url is not None

    def remove(self, sop_instance_uids: Sequence[str]) -> None:
        """See ``Pacs.remove``; by Orthanc's REST API (``/tools/lookup``, ``DELETE /instances/{id}``)."""
        if self._settings.orthanc_url is None:
            raise ValueError(f"{self._who} has no orthanc_url: it cannot remove anything")
        root = self._settings.orthanc_url.rstrip("/")
        with self._errors(), self._session() as session:
            for uid in sop_instance_uids:
                found = session.post(f"{root}/tools/lookup", data=uid, timeout=self._timeout)
                found.raise_for_status()
                for name in [known["ID"] for known in found.json() if known["Type"] == "Instance"]:
                    gone = session.delete(f"{root}/instances/{name}", timeout=self._timeout)
                    if gone.status_code != 404:
                        gone.raise_for_status()

    def ping(self) -> None:
        """See ``Pacs.ping``."""
        try:
            with self._errors():
                self._client().search_for_studies(limit=1)
        except requests.HTTPError as error:
            raise UnavailableError(self._who, f"HTTP {_status(error)} to a search at its DICOMweb URL") from error

    @property
    def _who(self) -> str:
        return f"PACS '{self.name}'"

    @property
    def _timeout(self) -> tuple[float, float]:
        return min(CONNECT_TIMEOUT_S, self._settings.timeout_s), self._settings.timeout_s

    def _session(self) -> requests.Session:
        session = requests.Session()
        if self._settings.username is not None and self._settings.password is not None:
            session.auth = (self._settings.username, self._settings.password.get_secret_value())
        return session

    def _client(self) -> DICOMwebClient:
        client: DICOMwebClient | None = getattr(self._mine, "client", None)
        if client is None:
            session = self._session()
            session.headers["Accept"] = "application/dicom+json"
            client = DICOMwebClient(self._url, session=session, timeout=self._timeout, permissive_uid=True)
            # Whoever calls knows when to try again; a retry in here would only hide that the archive is down.
            client.set_http_retry_params(retry=False)
            self._mine.client = client
        return client

    @contextmanager
    def _errors(self) -> Generator[None]:
        """Turns what says that the archive is down into ours; other HTTP errors pass."""
        try:
            yield
        except requests.HTTPError as error:
            status = _status(error)
            if status in _NOT_LET_IN:
                raise UnavailableError(self._who, f"it does not let the service in (HTTP {status})") from error
            if status >= 500 or status in _TRY_LATER:
                raise UnavailableError(self._who, f"HTTP {status}") from error
            raise
        except requests.RequestException as error:
            raise UnavailableError(self._who, type(error).__name__) from error

    def _page(self, study_instance_uid: str, series_instance_uid: str | None, offset: int) -> list[InstanceRef]:
        try:
            rows = self._client().search_for_instances(
                study_instance_uid, series_instance_uid, limit=PAGE, offset=offset, fields=["SOPClassUID", "Modality"]
            )
        except requests.HTTPError as error:
            if _status(error) != 404:
                raise
            # Some archives say 404 for an unknown study; a wrong URL says it too, and to any search.
            self.ping()
            return []
        return [_ref(row, study_instance_uid, series_instance_uid) for row in rows]

    def _name_the_unreadable(self, study_instance_uid: str, series_instance_uid: str) -> None:
        for ref in self.instances(study_instance_uid, series_instance_uid):
            self.instance(ref)

    def _store_some(self, datasets: Sequence[Dataset]) -> StoreReport:
        reasons: dict[str, str] = {}
        sent: dict[str, Dataset] = {}
        for dataset in datasets:
            try:
                # dicomweb-client writes a dataset made from scratch without the preamble that readers look for.
                sent[str(dataset.SOPInstanceUID)] = dcmread(BytesIO(encoded(dataset)))
            except UNREADABLE as error:
                reasons[str(dataset.SOPInstanceUID)] = f"cannot be written as DICOM ({type(error).__name__})"
        said, answer = self._sent(list(sent.values())) if sent else ("", Dataset())
        confirmed = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or ()}
        reasons |= {
            str(item.ReferencedSOPInstanceUID): _reason(int(item.get("FailureReason", 0)))
            for item in answer.get("FailedSOPSequence") or ()
        }
        for uid, dataset in sent.items():
            if uid not in confirmed and uid not in reasons and not self._lists(dataset):
                reasons[uid] = f"not stored, and the archive does not say why ({said})"
        return StoreReport(
            stored=tuple(uid for uid in sent if uid not in reasons), failed=tuple(sorted(reasons.items()))
        )

    def _sent(self, datasets: list[Dataset]) -> tuple[str, Dataset]:
        """The archive's status and its answer, empty when there is none that can be read."""
        with self._errors():
            try:
                return "HTTP 200", self._client().store_instances(datasets)
            except requests.HTTPError as error:
                if error.response is None or _status(error) not in (400, 409):
                    raise
                return f"HTTP {_status(error)}", _body(error.response)

    def _lists(self, dataset: Dataset) -> bool:
        uid = str(dataset.SOPInstanceUID)
        listed = self.instances(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID))
        return uid in {ref.sop_instance_uid for ref in listed}


def _status(error: requests.HTTPError) -> int:
    return 0 if error.response is None else error.response.status_code


def _body(response: requests.Response) -> Dataset:
    """What an answer says of a store of which part may have succeeded."""
    try:
        return Dataset.from_json(response.json())
    except (requests.JSONDecodeError, *UNREADABLE):
        return Dataset()


def _reason(code: int) -> str:
    known = FAILURE_REASONS.get(code) or FAILURE_REASONS.get(code & 0xFF00) or FAILURE_REASONS.get(code & 0xF000)
    return f"{known or 'no reason that the standard knows'} (0x{code:04X})"


def _ref(row: Mapping[str, Any], study_instance_uid: str, series_instance_uid: str | None) -> InstanceRef:
    """A QIDO row (DICOM JSON model); archives leave out what was in the question."""

    def first(tag: str, default: str = "") -> str:
        values = row.get(tag, {}).get("Value") or [default]
        return str(values[0])

    return InstanceRef(
        study_instance_uid=first("0020000D", study_instance_uid),
        series_instance_uid=first("0020000E", series_instance_uid or ""),
        sop_instance_uid=first("00080018"),
        sop_class_uid=first("00080016"),
        modality=first("00080060"),
    )
