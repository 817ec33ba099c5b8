"""Structured logs: one JSON object a line, with the job's id; nothing about a patient."""

import logging
import sys
from typing import Final

import structlog

LIBRARIES: Final = {
    "faststream": logging.WARNING,
    "fontTools": logging.WARNING,
    # These tell whole addresses, with what a path or a query says of somebody; urllib3 also when it tries again.
    "dicomweb_client": logging.WARNING,
    "httpx": logging.WARNING,
    "urllib3": logging.ERROR,
}
"""From which level on a library's own records are kept, whatever ``RADIARCH_LOG_LEVEL`` is."""


def configure_logging(service: str, level: str) -> None:
    """Send every log record of this process to stderr as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library, least in LIBRARIES.items():
        logging.getLogger(library).setLevel(least)
    structlog.configure(
        # What is not logged at this level costs nothing more.
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A structured logger; bind the job with ``structlog.contextvars.bind_contextvars(job_id=...)``."""
    return structlog.stdlib.get_logger(name)
