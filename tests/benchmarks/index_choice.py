"""What each choice of indexes costs an insert, and what it gives the auditor's questions.

`python -m tests.benchmarks.index_choice [--rows N]` starts a PostgreSQL of its own (durable settings), fills the table
under each choice in alternation, and prints the median of three runs. Some four minutes on two cores.

Rows a second move with whatever else the machine does. The server's CPU time and its write-ahead log do not, or hardly:
judge by these. (CPU time is read from /proc, so Linux only.)
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
from rich.console import Console
from rich.table import Table

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.store import migrate
from llm_audit_consumer.store.copy_text import COLUMN_NAMES, copy_text
from llm_audit_schemas import request_id_at
from llm_audit_schemas.codec import Record
from llm_audit_schemas.entry import FIELD_NAMES

RUNS = 3
BATCH = 10_000
USERS = 2_000
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
MODELS = ("claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-5", "claude-fable-5")

USER = "(user_id, request_id)"
MODEL = "(model, request_id)"
STATUS = "(status, request_id) WHERE status <> 'success'"
COST = "(cost_usd, request_id) WHERE cost_usd >= 0.1"

CHOICES: dict[str, Sequence[str]] = {
    "primary key only": (),
    "shipped": (USER, MODEL, STATUS, COST),
    "shipped without model": (USER, STATUS, COST),
    "model without time": (USER, "(model)", STATUS, COST),
    "user, BRIN on time": ('(user_id, "timestamp")', 'USING brin ("timestamp")'),
    "the lesson's four": ("(user_id)", '("timestamp")', "(model)", "(status)"),
}

ASKED = "SELECT count(*), sum(cost_usd) FROM llm_audit_log WHERE"
QUESTIONS = {
    "user, a day": f"{ASKED} user_id = 'user-17' AND {{day}}",
    "user, ever": f"{ASKED} user_id = 'user-17'",
    "rare model, a day": f"{ASKED} model = 'claude-fable-5' AND {{day}}",
    "rare model, ever": f"{ASKED} model = 'claude-fable-5'",
    "errors, a day": f"{ASKED} status <> 'success' AND {{day}}",
    "dearest of a day": (
        "SELECT * FROM llm_audit_log WHERE cost_usd >= 0.1 AND {day} ORDER BY cost_usd DESC LIMIT 20"
    ),
    "dearest ever": "SELECT * FROM llm_audit_log WHERE cost_usd >= 0.1 ORDER BY cost_usd DESC LIMIT 20",
}


@dataclass
class Figures:
    """Of one choice, one figure a run.

    Rows/s, the server's CPU microseconds a row, write-ahead log in bytes a row, MB of indexes, milliseconds a question.
    """

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    milliseconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in QUESTIONS})


def made_up_rows(count: int) -> list[Record]:
    """Rows of the last ten days in order of time, as a consumer would write them."""
    chance = random.Random(7)
    start = datetime.now(UTC) - timedelta(days=10)
    producer = uuid.uuid4()
    blank: Record = dict.fromkeys(FIELD_NAMES)
    rows = []
    for number in range(count):
        at = start + timedelta(days=10) * (number / count)
        failed = chance.random() < 0.02
        rows.append(
            {
                **blank,
                "request_id": uuid.UUID(request_id_at(at, chance.randbytes(10))),
                "timestamp": at,
                "producer_id": producer,
                "sequence": number,
                "user_id": f"user-{chance.randrange(USERS)}",
                "session_id": f"session-{chance.randrange(USERS * 5)}",
                "service": "support-bot",
                "provider": "anthropic",
                "action": "messages.create",
                "requested_model": (model := chance.choices(MODELS, (60, 30, 8, 2))[0]),
                "model": model,
                "streamed": False,
                "stop_reason": None if failed else "end_turn",
                "input_tokens": chance.randrange(20, 20_000),
                "output_tokens": chance.randrange(1, 2_000),
                "cost_usd": None if failed else Decimal(int(chance.paretovariate(1.2) * 1000)) / 1_000_000,
                "price_source": "genai-prices/0.2.3",
                "latency_ms": chance.randrange(300, 30_000),
                "status": "error" if failed else "success",
                "error_type": "overloaded_error" if failed else None,
                "http_status": 529 if failed else 200,
                "attempts": 1,
                "sanitization_count": 0,
                "content_mode": "hash",
                "system_prompt_hash": "5" * 64,
                "input_hash": chance.randbytes(32).hex(),
                "output_hash": chance.randbytes(32).hex(),
                "hash_key_id": "2026-11",
                "canonical_form": 1,
                "input_bytes": 2_000,
                "output_bytes": 900,
                "truncated": False,
                "retention_class": "standard",
                "library_version": "0.1.0",
                "sdk": "anthropic/2.12.0",
            }
        )
    return rows


def measure(connection: Any, indexes: Sequence[str], rows: Sequence[Record], figures: Figures) -> None:
    texts = [copy_text(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH)]
    with connection.cursor() as cursor:
        prepare(connection, cursor, indexes)
        pid = connection.info.backend_pid
        cpu_before, wal_before = cpu_seconds(pid), wal_position(cursor)
        started = time.perf_counter()
        for text in texts:
            cursor.copy_expert(f"COPY llm_audit_log ({COLUMN_NAMES}) FROM STDIN", text)
            connection.commit()
        figures.rates.append(len(rows) / (time.perf_counter() - started))
        figures.cpu.append((cpu_seconds(pid) - cpu_before) / len(rows) * 1e6)
        figures.wal.append((wal_position(cursor) - wal_before) / len(rows))
        outside_transaction(connection, cursor, "VACUUM ANALYZE llm_audit_log")
        cursor.execute(
            "SELECT sum(pg_indexes_size(inhrelid)) / 1e6 FROM pg_inherits WHERE inhparent = 'llm_audit_log'::regclass"
        )
        figures.megabytes.append(float(cursor.fetchone()[0]))
        ask(cursor, figures)


def prepare(connection: Any, cursor: Any, indexes: Sequence[str]) -> None:
    """An empty table with these indexes, and a checkpoint behind us."""
    cursor.execute("SET session_replication_role = replica")  # the log refuses it, whoever asks, by trigger
    cursor.execute("TRUNCATE llm_audit_log")
    cursor.execute("RESET session_replication_role")
    cursor.execute(
        "SELECT indexrelid::regclass::text FROM pg_index "
        "WHERE indrelid = 'llm_audit_log'::regclass AND NOT indisprimary"
    )
    for (name,) in cursor.fetchall():
        cursor.execute(f"DROP INDEX {name}")
    for definition in indexes:
        cursor.execute(f"CREATE INDEX ON llm_audit_log {definition}")
    connection.commit()
    outside_transaction(connection, cursor, "CHECKPOINT")


def outside_transaction(connection: Any, cursor: Any, sql: str) -> None:
    connection.commit()
    connection.autocommit = True
    cursor.execute(sql)
    connection.autocommit = False


def cpu_seconds(pid: int) -> float:
    """User and system time of a process: fields 14 and 15 of proc(5)'s stat, after the name in brackets."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def wal_position(cursor: Any) -> int:
    cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
    return int(cursor.fetchone()[0])


def ask(cursor: Any, figures: Figures) -> None:
    day = (
        "request_id >= llm_audit_id_at(now() - interval '3 days') "
        "AND request_id < llm_audit_id_at(now() - interval '2 days')"
    )
    for name, question in QUESTIONS.items():
        times = []
        for _ in range(3):
            started = time.perf_counter()
            cursor.execute(question.format(day=day))
            cursor.fetchall()
            times.append((time.perf_counter() - started) * 1000)
        figures.milliseconds[name].append(statistics.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.index_choice", description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    rows = made_up_rows(parser.parse_args().rows)
    found = {name: Figures() for name in CHOICES}
    console = Console(width=170)
    with EmbeddedPostgres(settings=("max_wal_size=4GB", "shared_buffers=512MB")) as postgres:
        migrate(postgres.dsn)
        connection = psycopg2.connect(postgres.dsn)
        for run in range(RUNS):
            for name, indexes in CHOICES.items():
                measure(connection, indexes, rows, found[name])
            console.print(f"run {run + 1} of {RUNS} done")
        connection.close()
    console.print(as_table(found, f"{len(rows):,} rows, median of {RUNS}"))


def as_table(found: dict[str, Figures], title: str) -> Table:
    table = Table("indexes", "rows/s", "CPU us/row", "WAL B/row", "index MB", *QUESTIONS, title=title)
    for name, figures in found.items():
        table.add_row(
            name,
            f"{statistics.median(figures.rates):,.0f}",
            f"{statistics.median(figures.cpu):.1f}",
            f"{statistics.median(figures.wal):,.0f}",
            f"{statistics.median(figures.megabytes):.0f}",
            *(f"{statistics.median(figures.milliseconds[each]):.1f} ms" for each in QUESTIONS),
        )
    return table


if __name__ == "__main__":
    main()
