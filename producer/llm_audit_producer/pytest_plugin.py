"""A pytest fixture for people who test their own services: ``llm_audit`` records into memory.

def test_my_service(llm_audit):
    client = Anthropic(base_url=...).with_middleware(llm_audit.audit)
    my_service(client)
    (entry,) = llm_audit.entries()
    assert entry.user_id == "u-17"
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llm_audit_producer import Audit, AuditLogger, MemorySink
    from llm_audit_schemas import AuditEntry

_TEST_KEY = "pytest:" + base64.b64encode(b"a fixed key, for tests and nothing else").decode()


class RecordedAudit:
    """An audit trail in memory.

    Attributes:
        sink: Holds the entries.
        logger: For calls made without the middleware.
    """

    def __init__(self, sink: MemorySink, logger: AuditLogger) -> None:
        self.sink = sink
        self.logger = logger

    @property
    def audit(self) -> Audit:
        """The middleware to give to a client."""
        from llm_audit_producer import Audit

        return Audit(self.logger)

    def entries(self, timeout: float = 10.0) -> tuple[AuditEntry, ...]:
        """Every entry so far, once all that was recorded has arrived.

        Raises:
            AssertionError: entries are still on their way after ``timeout`` seconds.
        """
        remaining = self.logger.flush(timeout)
        assert remaining == 0, f"{remaining} audit entries did not arrive within {timeout} s"  # noqa: S101 - a test's
        return self.sink.entries


@pytest.fixture
def llm_audit() -> Iterator[RecordedAudit]:
    """An audit trail in memory, its content hashed under a key for tests."""
    from llm_audit_producer import AuditLogger, MemorySink
    from llm_audit_schemas import HashKey

    sink = MemorySink()
    # On whatever the environment says: a test run may well switch a service's own auditing off.
    logger = AuditLogger(sink, enabled=True, hash_key=HashKey.parse(_TEST_KEY), service="test")
    try:
        yield RecordedAudit(sink, logger)
    finally:
        logger.close()
