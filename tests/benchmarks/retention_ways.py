"""What each way of letting things expire costs, and what a consumer that writes meanwhile feels of it.

`python -m tests.benchmarks.retention_ways [--rows N]` starts a PostgreSQL of its own (durable settings), fills a month
and lets it expire, in alternation: alone (time, write-ahead log, size afterwards) and while a writer adds batches of
2,000 rows to the present month as fast as it can (its rows a second, and its slowest batch). About three minutes.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from rich.console import Console
from rich.table import Table

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.retention.log_partitions import LogPartition
from llm_audit_consumer.retention.policies import shipped
from llm_audit_consumer.retention.running import RetentionRun, RunSettings
from llm_audit_consumer.store import migrate
from llm_audit_consumer.store.postgres import Database

RUNS = 3
BATCH = 2_000
BASELINE_SECONDS = 5.0
HASHES = ("system_prompt_hash", "input_hash", "output_hash", "hash_key_id", "canonical_form")
ROWS = Path(__file__).with_name("retention_rows.sql").read_text(encoding="utf-8")
REBUILD = Path(__file__).with_name("rebuild_month.sql").read_text(encoding="utf-8")
MONTH = date(datetime.now(UTC).year + 1, 1, 1)
PARTITION = LogPartition.of_month(f"llm_audit_log_{MONTH:%Y_%m}")
START = datetime(MONTH.year, MONTH.month, 1, tzinfo=UTC)
HASHES_DUE, ROWS_DUE = (
    START.replace(year=START.year + 1, month=3),
    START.replace(year=START.year + 2, month=3),
)


@dataclass
class Figures:
    """Of one way, one figure a run: seconds, WAL bytes a row, MB afterwards; the writer's rows/s and slowest batch."""

    seconds: list[float] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    slowest_ms: list[float] = field(default_factory=list)


class Writer:
    """Adds batches to the present month until it is told to stop."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg2.connect(dsn)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.batches: list[float] = []
        self.seconds = 0.0

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        begun = time.perf_counter()
        while not self._stop.is_set():
            started = time.perf_counter()
            with self._connection, self._connection.cursor() as cursor:
                cursor.execute(ROWS, {"count": BATCH, "first": datetime.now(UTC), "step": "1 millisecond"})
            self.batches.append(time.perf_counter() - started)
        self.seconds = time.perf_counter() - begun


def bounded_updates(dsn: str) -> None:
    expire(dsn, HASHES_DUE)


def rebuilt_and_swapped(dsn: str) -> None:
    with working(dsn) as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", (PARTITION.name,)
        )
        names = [
            f"NULL::{'integer' if name == 'canonical_form' else 'text'}" if name in HASHES else f'"{name}"'
            for (name,) in cursor.fetchall()
        ]
        bounds = {"first_id": PARTITION.first_id, "next_id": next_id()}
        cursor.execute(REBUILD.format(month=PARTITION.name, columns=", ".join(names), **bounds))
    with working(dsn) as cursor:
        cursor.execute("LOCK TABLE ONLY llm_audit_log IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"ALTER TABLE llm_audit_log DETACH PARTITION {PARTITION.name}")
        cursor.execute(f"DROP TABLE {PARTITION.name}; ALTER TABLE rebuilt RENAME TO {PARTITION.name}")
        cursor.execute(
            f"ALTER TABLE llm_audit_log ATTACH PARTITION {PARTITION.name} "
            f"FOR VALUES FROM ('{PARTITION.first_id}') TO ('{next_id()}')"
        )


def rows_deleted(dsn: str) -> None:
    """As when one row of the month stays."""
    keep_one(dsn)
    expire(dsn, ROWS_DUE)


def month_dropped(dsn: str) -> None:
    expire(dsn, ROWS_DUE)


WAYS: dict[str, Callable[[str], None]] = {
    "hashes cleared by bounded updates": bounded_updates,
    "month rebuilt without them and swapped": rebuilt_and_swapped,
    "rows deleted in bounded steps": rows_deleted,
    "month dropped": month_dropped,
}


def expire(dsn: str, as_of: datetime) -> None:
    database = Database(dsn, application_name="retention-ways")
    run = RetentionRun(database, shipped(), as_of, RunSettings("benchmark"))
    outcome = run.apply(run.plan())
    database.close()
    if outcome.postponed or not outcome.rows:
        raise AssertionError(f"it did not do its work: {outcome}")


def keep_one(dsn: str) -> None:
    with working(dsn) as cursor:
        cursor.execute(ROWS, {"count": 1, "first": START, "step": "1 second"})
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            f"UPDATE {PARTITION.name} SET retention_class = 'kept' WHERE request_id = "
            f"(SELECT request_id FROM {PARTITION.name} ORDER BY request_id LIMIT 1)"
        )
        cursor.execute("RESET session_replication_role")


def next_id() -> str:
    following = (MONTH + timedelta(days=31)).replace(day=1)
    return str(LogPartition.of_month(f"llm_audit_log_{following:%Y_%m}").first_id)


@contextmanager
def working(dsn: str) -> Iterator[Any]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def fresh(postgres: EmbeddedPostgres, name: str, rows: int) -> str:
    """A new database with the month filled, and a checkpoint behind it."""
    admin = psycopg2.connect(postgres.dsn)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name}")
    dsn = postgres.dsn_of(name)
    migrate(dsn)
    with working(dsn) as cursor:
        cursor.execute("SELECT llm_audit_create_partitions(%s)", (MONTH,))
        step = timedelta(days=27) / rows
        cursor.execute(ROWS, {"count": rows, "first": START, "step": f"{step.total_seconds()} seconds"})
    with admin.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    admin.close()
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE llm_audit_log")
    connection.close()
    return dsn


def measure(postgres: EmbeddedPostgres, way: Callable[[str], None], rows: int, figures: Figures) -> None:
    dsn = fresh(postgres, "alone", rows)
    before, started = wal(dsn), time.perf_counter()
    way(dsn)
    figures.seconds.append(time.perf_counter() - started)
    figures.wal.append((wal(dsn) - before) / rows)
    with working(dsn) as cursor:
        cursor.execute("SELECT coalesce(pg_total_relation_size(to_regclass(%s)), 0) / 1e6", (PARTITION.name,))
        figures.megabytes.append(float(cursor.fetchone()[0]))
    dsn = fresh(postgres, "busy", rows)
    with Writer(dsn) as writer:
        way(dsn)
    figures.rates.append(len(writer.batches) * BATCH / writer.seconds)
    figures.slowest_ms.append(max(writer.batches) * 1000)


def baseline(postgres: EmbeddedPostgres, rows: int, figures: Figures) -> None:
    with Writer(fresh(postgres, "busy", rows)) as writer:
        time.sleep(BASELINE_SECONDS)
    figures.rates.append(len(writer.batches) * BATCH / writer.seconds)
    figures.slowest_ms.append(max(writer.batches) * 1000)


def wal(dsn: str) -> int:
    with working(dsn) as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
        return int(cursor.fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.retention_ways", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    found = {name: Figures() for name in WAYS}
    alone = Figures()
    console = Console(width=150)
    with EmbeddedPostgres(settings=("max_wal_size=4GB", "shared_buffers=512MB")) as postgres:
        for run in range(arguments.runs):
            baseline(postgres, arguments.rows, alone)
            for name, way in WAYS.items():
                measure(postgres, way, arguments.rows, found[name])
            console.print(f"run {run + 1} of {arguments.runs} done")
    console.print(
        as_table({"nothing expires": alone, **found}, f"{arguments.rows:,} rows, median of {arguments.runs}")
    )


def as_table(found: dict[str, Figures], title: str) -> Table:
    table = Table("way", "seconds", "WAL B/row", "MB after", "writer rows/s", "slowest batch", title=title)
    for name, figures in found.items():
        table.add_row(
            name,
            shown(figures.seconds, "{:.1f}"),
            shown(figures.wal, "{:,.0f}"),
            shown(figures.megabytes, "{:.0f}"),
            shown(figures.rates, "{:,.0f}"),
            shown(figures.slowest_ms, "{:,.0f} ms"),
        )
    return table


def shown(values: list[float], form: str) -> str:
    return form.format(statistics.median(values)) if values else ""


if __name__ == "__main__":
    main()
