"""Settings from the environment (``RADIARCH_*``), the same for every service."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, SecretStr, StringConstraints, Tag, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")]
"""Scheme, host and port, as a browser writes them; no wildcard."""


class _Part(BaseModel):
    """Some settings of one thing: a name that is misspelt is not passed over."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class FolderPacsSettings(_Part):
    """A PACS that is a folder of DICOM files."""

    kind: Literal["folder"] = "folder"
    folder: Path


class WebPacsSettings(_Part):
    """A PACS that speaks DICOMweb.

    Attributes
    ----------
    url
        DICOMweb root as the services reach it, such as ``http://orthanc:8042/dicom-web``.
    public_url
        The same root as users reach it; links in answers start with it. ``None``: the same as ``url``.
    orthanc_url
        Root of Orthanc's own REST API: the gateway then watches this PACS and makes the plans that signed rules ask
        for, and an erasure can remove what was exported. ``None``: neither.
    hook_secret
        Keys the HMAC of hints that new images have come; ``None``: signed hints are not taken.
    hook_token
        Borne by hints of senders that cannot sign, over loopback or TLS alone; ``None``: they are not taken.
    look_every_s
        How often a watched PACS is asked for changes where no hint comes.
    quiet_s
        How long nothing must have come for a study before it is looked at.
    """

    kind: Literal["dicomweb"] = "dicomweb"
    url: str
    public_url: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    timeout_s: float = Field(default=60.0, gt=0)
    orthanc_url: str | None = None
    hook_secret: SecretStr | None = Field(default=None, min_length=32)
    hook_token: SecretStr | None = Field(default=None, min_length=32)
    look_every_s: float = Field(default=10.0, gt=0)
    quiet_s: float = Field(default=10.0, ge=0)


def _kind_of_pacs(said: object) -> str:
    """Which of them is meant, so that a mistake is told once, and not of each."""
    if not isinstance(said, dict):
        return str(getattr(said, "kind", "dicomweb"))
    known = cast("dict[str, object]", said)
    return str(known.get("kind", "folder" if "folder" in known else "dicomweb"))


PacsSettings = Annotated[
    Annotated[FolderPacsSettings, Tag("folder")] | Annotated[WebPacsSettings, Tag("dicomweb")],
    Discriminator(_kind_of_pacs),
]


class S3Settings(_Part):
    """An S3 server, such as MinIO. ``endpoint`` is ``host:port``."""

    endpoint: str
    access_key: str
    secret_key: SecretStr
    bucket: str = "radiarch"
    secure: bool = False


RoleName = Literal["clinician", "radiographer", "radiologist", "physicist", "admin"]


class OidcSettings(_Part):
    """An issuer of OIDC tokens, such as a realm of Keycloak.

    Attributes
    ----------
    issuer
        As its tokens name it in ``iss``, and its discovery document in ``issuer``.
    jwks_url
        Its public keys; ``None``: as the discovery document tells.
    roles_claim
        Where a token lists what somebody is: a claim's name, or a path with dots (``realm_access.roles``).
    roles
        From the values of that claim to roles here. Whoever has none of them is let in nowhere.
    clinic_claim
        The claim that holds the id of a clinic; ``None``: everybody belongs to ``clinic``.
    leeway_s
        By how much clocks may differ.
    """

    issuer: str = Field(pattern=r"^https?://\S+$")
    audience: str = Field(min_length=1)
    jwks_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    roles_claim: str = Field(default="realm_access.roles", min_length=1)
    roles: dict[str, list[RoleName]] = Field(min_length=1)
    clinic_claim: str | None = Field(default=None, min_length=1)
    clinic: str = "main"
    leeway_s: float = Field(default=30.0, ge=0, le=300)


class Settings(BaseSettings):
    """What an operator sets. Nested values: ``RADIARCH_PACS='{"main": {"kind": "dicomweb", ...}}'``.

    Attributes
    ----------
    objects_folder, s3
        Where objects live; ``s3`` wins when both are set.
    pacs
        Named connectors; ``default_pacs`` is used when a request names none.
    ack_wait_s
        Silence after which the broker gives a job to another worker; must outlast a restart of the broker.
    stop_within_s
        Work that was cancelled and has not stopped by then is left, and its process ends.
    job_deadline_h
        A job that has not ended by then fails.
    lost_after_min
        A job of which nothing was heard for so long, and that lies in no queue, is put back; the third time it fails.
    engine_processes
        Engine processes a planner runs at once; 0 for one per core it may use.
    cache_quota_gb
        What the cache of engine work may take of the object store after a plan, in 10**9 bytes; 0: no cache.
    structure_names
        Dictionary of structure names to be used instead of the planner's own.
    catalogue_folder
        Machines, CT calibrations and workflows of the operator's own, beside those that come with the planner.
    default_machine, default_ct_calibration
        The deployment's own choice, for requests that name none; unset: requests must name them.
    authentication
        ``accounts``: callers log in, or bear an API key or a token of ``oidc``. ``none``: whoever reaches the gateway
        may do everything; it then listens on loopback alone.
    secret_key
        Signs access tokens and links, keys the hashes of the audit log, encrypts the secrets of authenticator apps;
        the same for every gateway. Unset: made once, and kept in the database.
    login_longest_days
        A login ends so long after its password was said, however often it is refreshed.
    refresh_grace_s
        A refresh token that was used is good again for so long: two tabs refresh at once, and answers get lost. Used
        later, it ends its login.
    login_tries_per_min
        From one address, good ones included.
    lockout_after, lockout_first_s, lockout_longest_s
        Failed logins in a row that lock an account; each further one locks it for twice as long.
    first_admin_file
        Where the first start, with no account yet, leaves the name and one-time password of an administrator; unset:
        none is made.
    oidc
        An issuer whose tokens are accepted beside our own.
    nats_tls_ca, nats_tls_certificate, nats_tls_key
        Whose certificate of the bus is trusted, instead of the system's authorities; and the client's own.
    tls_certificate, tls_key, tls_client_ca
        PEM files: the gateway then speaks HTTPS, and with a client CA to those alone who bear a certificate of it.
    tls_by_proxy
        A proxy in front speaks HTTPS with every client: browsers are told to keep to it, and nothing warns of a line
        without it.
    trusted_proxies
        Addresses or networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.
    cors_origins
        Where pages may come from that call the gateway, each as ``https://host[:port]``.
    rate_limit_per_min, rate_limit_public_per_min
        Calls of one caller, and calls of one address that change something and ask nobody who they are.
    max_body_bytes
        Of one request.
    slow_client_s
        Within which a request's headers, and then each part of its body, must come.
    link_lifetime_min
        Minutes for which a signed link to a file opens it; a day at most.
    retention_days
        A plan that ended longer ago is erased, with its files; unset: plans are kept.
    objects_quota_gb
        What may lie in the object store, in 10**9 bytes; above it no plan is taken. Unset: no limit.
    """

    # A message about a wrong setting goes into the log, and may be about one that holds a password.
    model_config = SettingsConfigDict(
        env_prefix="RADIARCH_", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    nats_url: str = "nats://127.0.0.1:4222"
    nats_user: str | None = None
    nats_password: SecretStr | None = None
    nats_tls_ca: Path | None = None
    nats_tls_certificate: Path | None = None
    nats_tls_key: Path | None = None
    nats_replicas: int = Field(default=1, ge=1, le=5)
    database_url: str = "sqlite:///radiarch-data/radiarch.db"
    objects_folder: Path = Path("radiarch-data/objects")
    s3: S3Settings | None = None
    pacs: dict[str, PacsSettings] = Field(default_factory=dict)
    default_pacs: str = "main"
    ack_wait_s: float = Field(default=60.0, ge=1.0)
    retry_first_s: float = Field(default=2.0, gt=0)
    retry_longest_s: float = Field(default=300.0, gt=0)
    stop_within_s: float = Field(default=120.0, gt=0)
    job_deadline_h: float = Field(default=24.0, gt=0)
    lost_after_min: float = Field(default=30.0, gt=0)
    duplicate_window_h: float = Field(default=24.0, gt=0)
    engine_processes: int = Field(default=0, ge=0)
    engine_folder: Path = Field(default_factory=lambda: Path.home() / ".cache" / "radiarch" / "engines")
    mcsquare_binary: Path | None = None
    work_folder: Path | None = None
    cache_quota_gb: float = Field(default=10.0, ge=0)
    structure_names: Path | None = None
    catalogue_folder: Path | None = None
    default_machine: str | None = None
    default_ct_calibration: str | None = None
    http_host: str = "127.0.0.1"
    authentication: Literal["accounts", "none"] = "accounts"
    secret_key: SecretStr | None = Field(default=None, min_length=32)
    access_token_min: float = Field(default=60.0, gt=0)
    refresh_token_days: float = Field(default=7.0, gt=0)
    login_longest_days: float = Field(default=30.0, gt=0)
    refresh_grace_s: float = Field(default=10.0, ge=0)
    login_tries_per_min: int = Field(default=30, ge=1)
    lockout_after: int = Field(default=5, ge=1)
    lockout_first_s: float = Field(default=60.0, gt=0)
    lockout_longest_s: float = Field(default=3600.0, gt=0)
    first_admin_file: Path | None = None
    oidc: OidcSettings | None = None
    link_lifetime_min: float = Field(default=15.0, gt=0, le=1440)
    retention_days: float | None = Field(default=None, ge=1)
    objects_quota_gb: float | None = Field(default=None, gt=0)
    http_port: int = Field(default=9042, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_by_proxy: bool = False
    trusted_proxies: list[str] = Field(default_factory=list[str])
    cors_origins: list[Origin] = Field(default_factory=list)
    rate_limit_per_min: int = Field(default=6000, ge=1)
    rate_limit_public_per_min: int = Field(default=60, ge=1)
    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    slow_client_s: float = Field(default=20.0, gt=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def settings_or_exit() -> Settings:
    """The settings of this process. Where they cannot be used it says which, and ends with status 2."""
    try:
        return Settings()
    except SettingsError as error:
        why = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
    except ValidationError as error:
        why = "\n".join(f"  {_variable(wrong['loc'])}: {wrong['msg']}" for wrong in error.errors())
    sys.stderr.write(f"These settings cannot be used (docs/operators.md lists them):\n{why}\n")
    sys.exit(2)


def _variable(place: Sequence[int | str]) -> str:
    """What a field is set by: variables are named, entries of JSON follow with dots."""
    first, *rest = (str(step) for step in place)
    return ".".join([f"RADIARCH_{first.upper()}", *rest])
