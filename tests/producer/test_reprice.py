"""``llm-audit reprice`` on a real PostgreSQL: entries of every kind, recomputed by the same table and by another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import psycopg2
import pytest
from anthropic import Anthropic
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings

from llm_audit_consumer.batch import DecodedBatch
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_producer import Audit, AuditLogger, PostgresAuditStorage
from llm_audit_producer.call import Call
from llm_audit_producer.cli.reprice import command
from llm_audit_producer.pricing import price_source, reasons
from llm_audit_producer.pricing.recompute import StoredCall, recompute
from llm_audit_producer.sinks import postgres
from llm_audit_schemas import AuditEntry, EntryCodec, request_id_at
from tests.api.server import Asked, LocalApi, Reply, json_reply, message
from tests.parts.databases import Database
from tests.producer.stored_calls import AT, CASES, call_of, calls, entry_of, plain
from tests.producer.test_pricing_recompute import OVERRIDES, TOO_LARGE

ALL_TIME = ("--since", "2025-01-01", "--until", "2027-01-01")
SINCE, UNTIL = AT - timedelta(days=400), AT + timedelta(days=30)


@pytest.fixture
def trail(database: Database) -> Database:
    migrate(database.dsn)
    return database


def write(database: Database, entries: Iterable[AuditEntry]) -> None:
    """Over the wire and into the table, as the consumer does it."""
    codec = EntryCodec()
    store = AuditStore(database.dsn)
    store.write("test", DecodedBatch([codec.decode_record(codec.encode(each)) for each in entries], [], []))
    store.close()


def reprice(database: Database, *options: str) -> Result:
    run = CliRunner().invoke(command, ["--dry-run", "--dsn", database.dsn, *ALL_TIME, *options])
    assert run.exit_code == 0, run.output
    return run


def rows(database: Database, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(reprice(database, "--json", *options).stdout)
    return found


def fingerprint(database: Database) -> tuple[Any, ...]:
    """Of every column of every row, and of the table's storage."""
    with closing(psycopg2.connect(database.dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT md5(string_agg(l::text, ',' ORDER BY l)), count(*), sum(l.xmin::text::bigint) FROM llm_audit_log l"
        )
        found = cursor.fetchone()
    assert found is not None
    return found


@pytest.fixture
def every_kind(trail: Database) -> Database:
    write(trail, [entry_of(call) for call, _ in CASES.values()])
    return trail


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    file = tmp_path / "negotiated.toml"
    file.write_text(OVERRIDES)
    return file


def test_the_same_table_says_the_same_of_every_row(every_kind: Database) -> None:
    found = rows(every_kind)
    assert sum(row["calls"] for row in found) == len(CASES)
    changed = [row for row in found if row["changed_calls"]]
    assert [row["null_after"] for row in changed] == [{reasons.USAGE_NOT_KEPT: 1}]
    assert all(row["difference_usd"] in (None, "0") for row in found)
    stored = {row["price_source"] for row in found}
    assert stored == {row["new_price_source"] for row in found}
    before = sum(reason_counts(found, "null_before").values())
    assert before == sum(1 for _, expected in CASES.values() if not expected[0].isdigit())
    spent = sum(Decimal(row["cost_usd"]) for row in found if row["cost_usd"] is not None)
    assert spent == sum(Decimal(expected) for _, expected in CASES.values() if expected[0].isdigit())


def reason_counts(found: list[dict[str, Any]], column: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in found:
        for reason, count in row[column].items():
            counts[reason] = counts.get(reason, 0) + count
    return counts


def test_whatever_was_reported_its_row_tells_its_price(trail: Database) -> None:
    drawn: list[Call] = []

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls)
    def draw(call: Call) -> None:
        drawn.append(call)

    draw()
    for number, call in enumerate(drawn):
        call.started_at = AT + timedelta(seconds=number)
        call.request_id = request_id_at(call.started_at)
    write(trail, [entry_of(call) for call in drawn])
    source = price_source()
    stored = [StoredCall(**row) for row in PostgresAuditStorage(trail.dsn).priced_calls(SINCE, UNTIL)]
    assert len(stored) == len(drawn)
    for each in stored:
        again = recompute(source, each)
        assert (again.cost_usd, again.cost_reason) == (each.cost_usd, each.cost_reason), each
    assert len({each.cost_reason for each in stored}) > 5


def test_another_table_says_what_is_worked_out_by_hand(trail: Database, overrides: Path) -> None:
    names = [
        "plain",
        "cache",
        "answered by another",
        "batch not said",
        "fast",
        "vertex, global",
        "claude on aws",
    ]
    write(trail, [entry_of(CASES[name][0]) for name in names])
    found = {
        (row["provider"], row["model"], row["cost_usd"]): row
        for row in rows(trail, "--price-overrides", str(overrides))
    }
    sonnet = found["anthropic", "claude-sonnet-4-5-20250929", "0.0093045"]
    assert (sonnet["new_cost_usd"], sonnet["difference_usd"]) == ("0.006203", "-0.0031015")
    opus = found["anthropic", "claude-opus-4-8", "0.02625"]  # 0.0075 + 0.00375 + 0.015
    assert opus["new_cost_usd"] == "0.0075"  # 0.006 + 0.0015; no fast rates were negotiated
    assert (opus["difference_usd"], opus["null_after"]) == ("-0.00375", {reasons.FAST_MODE_UNPRICED: 1})
    vertex = found["gcp.vertex_ai", "claude-opus-5", "0.0075"]
    assert (vertex["changed_calls"], vertex["difference_usd"]) == (0, "0")
    aws = found["aws.claude", "claude-sonnet-4-5-20250929", None]
    assert (aws["new_cost_usd"], aws["difference_usd"]) == ("0.003", None)
    assert (aws["null_before"], aws["null_after"]) == ({reasons.UNKNOWN_MODEL: 1}, {})
    assert sonnet["price_source"].startswith("genai-prices/")
    assert sonnet["new_price_source"].startswith("overrides:negotiated.toml@sha256:")


# -- calls made through the SDK ---------------------------------------------------------------------------------

CALL: dict[str, Any] = {"max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
RESULT = {
    "custom_id": "one",
    "result": {"type": "succeeded", "message": message(model="claude-opus-4-8", usage=plain())},
}


@pytest.fixture
def url() -> Iterator[str]:
    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/results"):
            return Reply(200, json.dumps(RESULT).encode(), {"content-type": "application/x-jsonl"})
        if "/batches/" in asked.path:
            batch = {
                "id": "b",
                "type": "message_batch",
                "created_at": "2026-11-20T10:00:00Z",
                "results_url": f"{server.url}/v1/messages/batches/b/results",
            }
            return json_reply(batch)
        usage = (
            plain(speed="fast")
            if b"faster" in asked.body
            else plain(
                cache_creation_input_tokens=37,
                cache_creation={"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 7},
                server_tool_use={"web_search_requests": 1, "web_fetch_requests": 0},
            )
        )
        return json_reply(message(model="claude-opus-4-8", usage=usage))

    with LocalApi(answer) as server:
        yield server.url


def test_calls_through_the_sdk_can_be_recomputed_from_their_rows(trail: Database, url: str) -> None:
    audit = Audit(AuditLogger(PostgresAuditStorage(trail.dsn)))
    with Anthropic(base_url=url, api_key="k") as plain_client:
        client = plain_client.with_middleware(audit)
        client.messages.create(model="claude-opus-4-8", **CALL)
        client.messages.create(model="claude-opus-4-8", system="faster", **CALL)
        assert [each.custom_id for each in client.messages.batches.results("b")] == ["one"]
    for region in ("global", "us-east5"):
        vertex = anthropic.AnthropicVertex(base_url=url, region=region, project_id="p", access_token="fake")
        with vertex.with_middleware(audit) as on_vertex:
            on_vertex.messages.create(
                model="claude-opus-5", system="faster" if region == "global" else "", **CALL
            )
            on_vertex.messages.create(model="claude-opus-4-8", **CALL)
    assert audit.logger.close(20) == 0
    stored = [
        StoredCall(**row)
        for row in PostgresAuditStorage(trail.dsn).priced_calls(SINCE, UNTIL + timedelta(days=3650))
    ]
    assert len(stored) == 7
    assert {each.region for each in stored if each.provider == "gcp.vertex_ai"} == {"global", "us-east5"}
    source = price_source()
    for each in stored:
        again = recompute(source, each)
        assert (again.cost_usd, again.cost_reason) == (each.cost_usd, each.cost_reason), each
    assert {each.cost_reason for each in stored} >= {None, reasons.REGION_UNPRICED}
    assert sum(each.service_tier == "batch" for each in stored) == 1


# -- the command ------------------------------------------------------------------------------------------------


def run_command(*arguments: str | bytes) -> tuple[int, str]:
    """The exit code of ``llm-audit reprice ...``, found by its entry point, and what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_audit_consumer.cli", "reprice", *arguments],
        check=False,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, done.stderr.decode()


def test_without_dry_run_it_refuses_and_nothing_ever_changes(every_kind: Database, overrides: Path) -> None:
    before = fingerprint(every_kind)
    code, said = run_command("--dsn", every_kind.dsn)
    assert (code, "nothing may update the audit log" in said, "--dry-run" in said) == (2, True, True)
    assert "Nothing was changed." in reprice(every_kind, "--price-overrides", str(overrides)).stdout
    assert fingerprint(every_kind) == before


def test_reading_happens_in_a_read_only_transaction_piece_by_piece(
    every_kind: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = PostgresAuditStorage(every_kind.dsn)
    found = storage.priced_calls(SINCE, UNTIL)
    next(iter(found))
    with closing(psycopg2.connect(every_kind.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        ((state, query),) = cursor.fetchall()
    assert (state, query.startswith("FETCH FORWARD")) == ("idle in transaction", True)
    found.close()  # type: ignore[attr-defined]  # a generator
    monkeypatch.setattr(
        postgres, "_sql", lambda _: "SELECT current_setting('transaction_read_only') AS answer"
    )
    assert [row["answer"] for row in storage.priced_calls(SINCE, UNTIL)] == ["on"]


def test_exit_codes_name_the_cause_and_the_mend(database: Database, tmp_path: Path) -> None:
    dry = ("--dry-run", "--dsn")
    code, said = run_command(*dry, database.dsn)
    assert (code, "llm-audit migrate" in said) == (5, True)
    migrate(database.dsn)
    assert run_command(*dry, database.dsn) == (0, "")
    code, said = run_command(*dry, database.dsn, "--since", "whenever")
    assert (code, "last 24h" in said) == (2, True)
    code, said = run_command(*dry, database.dsn, "--since", "today", "--until", "yesterday")
    assert (code, "is not before" in said) == (2, True)
    code, said = run_command(*dry, database.dsn, "--user", b"\xff")
    assert (code, "UTF-8" in said) == (2, True)
    code, said = run_command(*dry, database.dsn, "--price-overrides", str(tmp_path / "none.toml"))
    assert (code, "none.toml" in said, "Traceback" in said) == (2, True, False)
    for dsn, expected in (
        ("postgresql://nobody:hidden-word@127.0.0.1:1/nowhere", 3),
        ("postgresql://nobody:hidden@word@127.0.0.1:1/nowhere", 2),
        ("postgresql://nobody:p@hidden/word@127.0.0.1/nowhere", 2),
        ("hidden word", 2),
    ):
        code, said = run_command(*dry, dsn)
        assert (code, "hidden" in said, "word" in said.replace("password", "")) == (expected, False, False)


def test_a_role_that_may_not_read_is_told_so(every_kind: Database) -> None:
    with closing(psycopg2.connect(every_kind.dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS reprice_nobody")
        cursor.execute("CREATE ROLE reprice_nobody LOGIN")
    try:
        code, said = run_command("--dry-run", "--dsn", f"{every_kind.dsn}?options=-crole%3Dreprice_nobody")
        assert (code, "may read llm_audit_log" in said) == (2, True), said
    finally:
        with (
            closing(psycopg2.connect(every_kind.dsn)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("DROP ROLE reprice_nobody")


def test_filters_and_the_period(trail: Database) -> None:
    made = [
        entry_of(call_of(plain(), number, requested_model=model))
        for number, model in enumerate(("claude-opus-4-8", "claude-opus-5"))
    ]
    write(trail, made)
    assert {row["model"] for row in rows(trail)} == {"claude-opus-4-8", "claude-opus-5"}
    assert {row["model"] for row in rows(trail, "--model", "claude-opus-5")} == {"claude-opus-5"}
    assert rows(trail, "--user", "ada") == []
    assert len(rows(trail, "--user", "unattributed")) == 2
    second = made[1].timestamp.isoformat()
    assert [row["model"] for row in rows(trail, "--since", second)] == ["claude-opus-5"]
    assert [row["model"] for row in rows(trail, "--until", second)] == ["claude-opus-4-8"]
    assert "No calls" in reprice(trail, "--until", "2025-02").stdout


def test_the_table_shows_figures_reasons_and_hostile_names_harmlessly(trail: Database) -> None:
    hostile = "[red]\x1b[31m\u202eclaude"
    write(trail, [entry_of(CASES["plain"][0]), entry_of(call_of(plain(), 1, requested_model=hostile))])
    said = reprice(trail).stdout
    assert "0.0045" in said
    assert "unknown_model 1" in said
    assert "2 calls, 0 of them priced otherwise" in said
    assert "[red]\\x1b[31m\\u202eclaude" in "".join(said.split())
    assert "\x1b" not in said


def test_the_help_has_examples_and_stands_among_the_commands() -> None:
    assert "llm-audit reprice --dry-run" in CliRunner().invoke(command, ["--help"]).stdout
    done = subprocess.run(
        [sys.executable, "-m", "llm_audit_consumer.cli", "--help"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "reprice Show what a newer price table says of stored calls." in " ".join(done.stdout.split())


def test_too_large_a_block_is_the_only_one_that_cannot_be_recomputed() -> None:
    assert [
        name for name, (call, _) in CASES.items() if "llm_audit_dropped_bytes" in str(entry_of(call).details)
    ] == [TOO_LARGE]
