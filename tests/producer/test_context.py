"""Who is asking: nesting, threads, tasks, fallbacks, and whatever a service may put in."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_consumer.store import migrate
from llm_audit_producer import AuditLogger, MemorySink, PostgresAuditStorage, UserRequiredError, carry
from llm_audit_producer.anthropic_sdk.middleware import Audit
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import UNATTRIBUTED
from tests.parts.databases import Database
from tests.producer.conftest import CALL, KEY, ScriptedApi, only


def test_contexts_nest_and_their_metadata_merges(client: Anthropic, llm_audit: RecordedAudit) -> None:
    audit = llm_audit.audit
    with audit.context(user_id="u-1", tenant="t", session_id="s", metadata={"a": 1, "b": 1}):
        with audit.context(run_id="r", session_id="s-2", metadata={"b": 2}):
            client.messages.create(**CALL)
        client.messages.create(**CALL)
    client.messages.create(**CALL)
    inner, outer, outside = llm_audit.entries()
    assert (inner.user_id, inner.tenant, inner.session_id, inner.run_id) == ("u-1", "t", "s-2", "r")
    assert inner.metadata == {"a": 1, "b": 2}
    assert (outer.session_id, outer.run_id, outer.metadata) == ("s", None, {"a": 1, "b": 1})
    assert (outside.user_id, outside.metadata) == (UNATTRIBUTED, None)
    assert llm_audit.logger.statistics().unattributed == 1


def test_a_context_ends_when_its_block_raises(client: Anthropic, llm_audit: RecordedAudit) -> None:
    with pytest.raises(KeyError), llm_audit.audit.context(user_id="u-1"):
        raise KeyError
    client.messages.create(**CALL)
    assert only(llm_audit).user_id == UNATTRIBUTED


def test_a_thread_has_no_user_unless_it_is_carried(client: Anthropic, llm_audit: RecordedAudit) -> None:
    def work(_number: int) -> None:
        client.messages.create(**CALL)

    with ThreadPoolExecutor(4) as pool, llm_audit.audit.context(user_id="u-1"):
        list(pool.map(work, range(2)))
        list(pool.map(carry(work), range(6)))
        list(pool.map(work, range(2)))  # what was carried does not stay behind in the pool
    users = [entry.user_id for entry in llm_audit.entries()]
    assert users == [UNATTRIBUTED] * 2 + ["u-1"] * 6 + [UNATTRIBUTED] * 2


def test_tasks_never_see_each_others_user(api: ScriptedApi, llm_audit: RecordedAudit) -> None:
    async def serve(client: AsyncAnthropic, user: str, barrier: asyncio.Barrier) -> None:
        with llm_audit.audit.context(user_id=user):
            await barrier.wait()
            await asyncio.create_task(client.messages.create(**CALL, system=user))

    async def run() -> None:
        barrier = asyncio.Barrier(20)
        async with AsyncAnthropic(base_url=api.url, api_key=KEY, middleware=[llm_audit.audit]) as client:
            await asyncio.gather(*(serve(client, f"u-{number}", barrier) for number in range(20)))

    asyncio.run(run())
    key_of = {entry.user_id: entry.system_prompt_hash for entry in llm_audit.entries()}
    assert set(key_of) == {f"u-{number}" for number in range(20)}
    llm_audit.sink.clear()
    llm_audit.logger.log_request("u-7", "m", system_prompt="u-7")
    assert only(llm_audit).system_prompt_hash == key_of["u-7"]


def test_leaving_a_context_elsewhere_than_it_was_entered_does_not_raise(llm_audit: RecordedAudit) -> None:
    """As a web framework does with a synchronous generator dependency: each step in a copy of the context."""

    def dependency() -> Iterator[None]:
        with llm_audit.audit.context(user_id="u-1"):
            yield

    generator = dependency()
    contextvars.copy_context().run(next, generator)
    with pytest.raises(StopIteration):
        contextvars.copy_context().run(next, generator)


@pytest.mark.parametrize(
    ("context_user", "own_user", "api_user", "expected"),
    [
        ("ctx", "own", "api", "own"),
        ("ctx", None, "api", "ctx"),
        (None, None, "api", "api"),
        (None, "own", None, "own"),
        ("", None, "api", "api"),
        (None, None, "", UNATTRIBUTED),
        (17, None, None, "17"),
        (UUID(int=5), None, None, "00000000-0000-0000-0000-000000000005"),
        ("n\x00l \ud800", None, None, "n\N{SYMBOL FOR NULL}l \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_who_asks_is_said_by_the_nearest(
    context_user: object,
    own_user: object,
    api_user: str | None,
    expected: str,
    plain: Anthropic,
    llm_audit: RecordedAudit,
) -> None:
    audit = llm_audit.audit if own_user is None else llm_audit.audit.on_behalf_of(own_user)
    extra: dict[str, Any] = {} if api_user is None else {"metadata": {"user_id": api_user}}
    with llm_audit.audit.context(user_id=context_user):
        plain.with_middleware(audit).messages.create(**CALL, **extra)
    assert only(llm_audit).user_id == expected


@pytest.mark.parametrize("asynchronous", [False, True])
def test_require_user_refuses_before_anything_is_sent(
    asynchronous: bool, plain: Anthropic, api: ScriptedApi
) -> None:
    audit = Audit(sink=MemorySink(), require_user=True)

    async def run() -> None:
        async with AsyncAnthropic(base_url=api.url, api_key=KEY, middleware=[audit]) as client:
            await client.messages.create(**CALL)

    with pytest.raises(UserRequiredError, match=r"audit\.context"):
        asyncio.run(run()) if asynchronous else plain.with_middleware(audit).messages.create(**CALL)
    with pytest.raises(UserRequiredError):
        audit.logger.log_request(model="m")
    assert api.asked == []
    with audit.context(user_id="u-1"):
        plain.with_middleware(audit).messages.create(**CALL)
    audit.close()
    statistics = audit.logger.statistics()
    assert (len(api.asked), statistics.delivered, statistics.unattributed) == (1, 1, 2)


def cycle() -> dict[str, object]:
    around: dict[str, object] = {}
    around["itself"] = around
    return around


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class BrokenMapping(dict[str, object]):
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("cannot be read")

    def items(self) -> Any:
        raise RuntimeError("cannot be read")


ODD_METADATA: list[tuple[str, Callable[[], Any]]] = [
    ("a number", lambda: 5),
    ("a list", lambda: [1, 2]),
    ("text", lambda: "text"),
    ("cycle", cycle),
    ("broken", lambda: {"a": Broken(), "b": {"c": [Broken()]}}),
    ("broken itself", Broken),
    ("broken mapping", lambda: BrokenMapping(a=1)),
    ("huge", lambda: {f"key-{number}": "x" * 1024 for number in range(1024)}),
    ("deep", lambda: json.loads('{"a":' * 900 + "1" + "}" * 900)),
    ("unstorable", lambda: {"nul\x00": "a\x00b", "surrogate\ud800": "\udfff", "deep": [{"\x00": "\ud83d"}]}),
    ("not finite", lambda: {"a": float("nan"), "b": float("-inf"), "c": 10**5000}),
    ("odd keys", lambda: {1: "a", None: "b", (1, 2): "c", b"x": b"y", "1": "d"}),
    ("modules", lambda: {"lock": threading.Lock(), "type": int, "set": {1}}),
]


@pytest.fixture(scope="module")
def odd_rows(postgres_server: Any) -> Iterator[Callable[[Callable[[AuditLogger], None]], tuple[Any, ...]]]:
    """Records into a real PostgreSQL and gives the one row that came."""
    from tests.parts.databases import DatabaseMaker

    maker = DatabaseMaker(postgres_server)
    database: Database = maker()
    migrate(database.dsn)

    def record(use: Callable[[AuditLogger], None]) -> tuple[Any, ...]:
        logger = AuditLogger(PostgresAuditStorage(database.dsn))
        use(logger)
        assert logger.flush(20) == 0
        statistics = logger.statistics()
        logger.close()
        assert (dict(statistics.lost), dict(statistics.capture_errors)) == ({}, {})
        connection = psycopg2.connect(database.dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SET LOCAL ROLE llm_audit_retention")  # nobody else may delete
                cursor.execute("DELETE FROM llm_audit_log RETURNING user_id, metadata, truncated")
                (row,) = cursor.fetchall()
        finally:
            connection.close()
        return tuple(row)

    yield record
    maker.drop_all()


@pytest.mark.parametrize(("name", "make"), ODD_METADATA, ids=[name for name, _ in ODD_METADATA])
def test_whatever_is_put_in_a_real_postgresql_takes_the_entry(
    name: str,
    make: Callable[[], Any],
    plain: Anthropic,
    odd_rows: Callable[[Callable[[AuditLogger], None]], tuple[Any, ...]],
) -> None:
    def by_context(logger: AuditLogger) -> None:
        with logger.context(user_id=make(), session_id=make(), tenant=make(), run_id=make(), metadata=make()):
            plain.with_middleware(Audit(logger)).messages.create(**CALL)

    def by_hand(logger: AuditLogger) -> None:
        logger.log_request(make(), "m", session_id=make(), metadata=make())

    for use in (by_context, by_hand):
        user_id, metadata, truncated = odd_rows(use)
        assert user_id
        assert isinstance(metadata, dict)
        assert truncated == (name == "huge")
        if name == "huge":
            assert set(metadata) == {"llm_audit_dropped_bytes"}
            assert metadata["llm_audit_dropped_bytes"] > 2**20
