"""Whether the way to PostgreSQL may go unprotected without anybody having said so.

libpq's own default, ``sslmode=prefer``, takes TLS where it is offered and goes on in the clear, and to whoever answers,
where it is not. Within one machine that is as it should be. Beyond it, it is said once; ``sslmode`` is never changed
for anybody, since a mode that the server does not have would keep the consumer from starting.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache

logger = logging.getLogger(__name__)

_LOCAL_NAMES = ("", "localhost", "::1")
_LOCAL_STARTS = ("/", "@", "127.")


def warn_of_plaintext(settings: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Say, once per host, that a connection beyond this machine names no ``sslmode``.

    Args:
        settings: The connection string's settings.
        environment: Where libpq looks for what these leave out.
    """
    if "sslmode" in settings or "PGSSLMODE" in environment or "service" in settings:
        return
    hosts = settings.get("hostaddr") or settings.get("host") or environment.get("PGHOST", "")
    for host in hosts.split(","):
        if host not in _LOCAL_NAMES and not host.startswith(_LOCAL_STARTS):
            _warn(host)


@cache
def _warn(host: str) -> None:
    logger.warning(
        "the connection to PostgreSQL at %s names no sslmode: it goes unencrypted where the server offers no TLS, and "
        "nobody checks who answers; say sslmode=verify-full and sslrootcert=FILE in LLM_AUDIT_POSTGRES_DSN "
        "(sslmode=disable to mean it)",
        host,
    )
