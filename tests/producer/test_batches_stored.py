"""Results of a message batch in a real table: once each, whoever reads them and however often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from anthropic import Anthropic

from llm_audit_consumer.store import migrate
from llm_audit_producer import Audit, AuditLogger, PostgresAuditStorage
from llm_audit_producer.demo.local_api import LocalApi
from tests.parts.databases import Database
from tests.producer.test_batches import REQUESTS, BatchApi

Batches = Callable[[Anthropic], Any]


@pytest.fixture
def url() -> Iterator[str]:
    batches = BatchApi()
    with LocalApi(batches.answer) as server:
        batches.url = server.url
        yield server.url


@pytest.mark.parametrize(
    ("batches", "prefix"),
    [(lambda client: client.messages.batches, ""), (lambda client: client.beta.messages.batches, "beta.")],
    ids=["messages", "beta"],
)
def test_results_read_by_several_processes_lives_are_rows_once(
    batches: Batches, prefix: str, url: str, database: Database
) -> None:
    migrate(database.dsn)
    for life in range(3):
        audit = Audit(AuditLogger(PostgresAuditStorage(database.dsn)))
        with Anthropic(base_url=url, api_key="k", max_retries=0).with_middleware(audit) as client:
            if life == 0:
                batches(client).create(requests=REQUESTS)
            for _ in range(2):
                assert len(list(batches(client).results("msgbatch_1"))) == 4
        assert audit.logger.close(20) == 0
    rows = list(PostgresAuditStorage(database.dsn).query())
    results = {row["custom_id"]: row for row in rows if row["action"] == f"{prefix}messages.batches.result"}
    assert set(results) == {"first", "second", "third", "fourth"}
    assert [row["action"] for row in rows if row["custom_id"] is None] == [f"{prefix}messages.batches.create"]
    assert len(rows) == 5
    assert results["first"]["cost_usd"] == Decimal("0.00225")
