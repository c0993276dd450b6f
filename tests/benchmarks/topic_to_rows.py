"""From a full topic to committed rows: our consumer beside one `psql \\copy` of the same rows into the same table.

`python -m tests.benchmarks.topic_to_rows [--entries N] [--json FILE]` starts a Kafka and a PostgreSQL of its own,
with durable settings, fills a topic, and lets each contestant fill the empty table in alternation:

- `psql \\copy` of a file in COPY's text format, and of one in its binary format: the database's own limit;
- `llm-audit consume`, one process with default settings, from the assignment of its partitions to the last commit;
- the same with a hundredth of the rows in the table already, and with all of them, as after a crash.

Judge by the ratios: they come from one run on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from rich.console import Console
from rich.table import Table

from llm_audit_consumer.embedded import EmbeddedKafka, EmbeddedPostgres
from llm_audit_consumer.embedded.postgres_files import wheel_programs
from llm_audit_consumer.store import migrate
from llm_audit_consumer.store.copy_text import COLUMN_NAMES
from llm_audit_schemas.wire import IDENTITY_HEADER
from tests.benchmarks.made_up_entries import made_up_messages
from tests.consumer.consumer_process import ConsumerProcess, consume_environment
from tests.parts.messages import new_producer

TOPIC = "entries"
DEADLINE_SECONDS = 120.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
TEXT, BINARY = r"psql \copy, text", r"psql \copy, binary"
OURS, FEW, ALL = "our consumer", "our consumer, 1 % there", "our consumer, all there"


class Bench:
    """The servers, the full topic and the files of its rows."""

    def __init__(self, kafka: EmbeddedKafka, postgres: EmbeddedPostgres, folder: Path, entries: int) -> None:
        self._kafka = kafka
        self._postgres = postgres
        self._folder = folder
        self._entries = entries
        self._connection = psycopg2.connect(postgres.dsn)
        self._connection.autocommit = True
        self._ask("SET session_replication_role = replica")  # the log refuses to be emptied
        self._groups = iter(f"group-{number}" for number in range(10_000))
        self.cpu: list[float] = []
        self.peaks: list[float] = []

    def fill_topic(self, partitions: int) -> None:
        admin = AdminClient({"bootstrap.servers": self._kafka.bootstrap_servers})
        admin.create_topics([NewTopic(TOPIC, partitions, 1)])[TOPIC].result(30)
        producer = new_producer(self._kafka.bootstrap_servers, queue_buffering_max_messages=1_000_000)
        for key, value, identity in made_up_messages(self._entries):
            producer.produce(TOPIC, value, key=key, headers=[(IDENTITY_HEADER, identity)])
            producer.poll(0)
        assert producer.flush(60) == 0, "the topic could not be filled"

    def write_files(self) -> None:
        """The rows as they are in the table, in the order of their ids."""
        for kind in ("text", "binary"):
            query = f"SELECT {COLUMN_NAMES} FROM llm_audit_log ORDER BY request_id"
            self._psql(f"\\copy ({query}) TO '{self._file(kind)}' WITH (FORMAT {kind})")

    def copy(self, kind: str) -> float:
        """Rows a second of one COPY by psql."""
        self._empty_table()
        started = time.perf_counter()
        self._psql(f"\\copy llm_audit_log ({COLUMN_NAMES}) FROM '{self._file(kind)}' WITH (FORMAT {kind})")
        return self._entries / (time.perf_counter() - started)

    def consume(self, already_there: float = 0.0) -> float:
        """Rows a second of our consumer, a share of the rows being in the table already."""
        self._empty_table()
        if already_there:
            self._psql(
                f"\\copy llm_audit_log ({COLUMN_NAMES}) FROM '{self._file('binary')}' WITH (FORMAT binary)"
            )
            self._ask(
                "DELETE FROM llm_audit_log WHERE abs(hashtext(request_id::text)::bigint) %% 1000 >= %s",
                already_there * 1000,
            )
            self._ask("VACUUM llm_audit_log")
            self._ask("CHECKPOINT")
        environment = consume_environment(
            self._kafka.bootstrap_servers, TOPIC, self._postgres.dsn, group=next(self._groups)
        )
        with ConsumerProcess(environment) as consumer:
            assigned = consumer.wait_for_log("partitions assigned")["timestamp"]
            ended = self._wait_for_rows()
            self.cpu.append(_cpu_seconds(consumer.pid))
            self.peaks.append(_peak_megabytes(consumer.pid))
            assert consumer.terminate() == 0, consumer.log[-3:]
        rows = self._ask("SELECT count(*) FROM llm_audit_log")
        assert rows == self._entries, f"{rows} rows of {self._entries} entries"
        return self._entries / (ended - datetime.fromisoformat(assigned).timestamp())

    def _wait_for_rows(self) -> float:
        """When the last offset was committed, in seconds since 1970."""
        deadline = time.time() + DEADLINE_SECONDS
        while (now := time.time()) < deadline:
            if self._ask("SELECT coalesce(sum(next_offset), 0) FROM llm_audit_offset") == self._entries:
                return now
            time.sleep(0.01)
        raise AssertionError(f"the consumer did not finish within {DEADLINE_SECONDS:g} s")

    def _empty_table(self) -> None:
        self._ask("TRUNCATE llm_audit_log, llm_audit_offset, llm_audit_dead_letter")
        self._ask("CHECKPOINT")

    def _ask(self, sql: str, *parameters: object) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            row = cursor.fetchone() if cursor.description else None
        return row and row[0]

    def _psql(self, command: str) -> None:
        subprocess.run(
            [wheel_programs() / "bin" / "psql", self._postgres.dsn, "-qX", "-c", command],
            check=True,
            timeout=DEADLINE_SECONDS,
        )

    def _file(self, kind: str) -> Path:
        return self._folder / f"rows.{kind}"


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process: fields 14 and 15 of proc(5)'s stat, after the name in brackets."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def _peak_megabytes(pid: int) -> float:
    """The most memory a process has had resident: VmHWM in proc(5)'s status, in kilobytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1000


def measure(bench: Bench, repeats: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Rows a second of each contestant, one figure a repeat."""
    contestants: dict[str, Callable[[], float]] = {
        TEXT: lambda: bench.copy("text"),
        BINARY: lambda: bench.copy("binary"),
        OURS: bench.consume,
        FEW: lambda: bench.consume(already_there=0.01),
        ALL: lambda: bench.consume(already_there=1),
    }
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(repeats):
        for name, run in contestants.items():
            found[name].append(run())
        say(f"repeat {number + 1} of {repeats}: " + ", ".join(f"{each[-1]:,.0f}" for each in found.values()))
    return found


def as_table(found: dict[str, list[float]], title: str) -> Table:
    table = Table(
        "", "rows/s, least", "median", "most", "of the text COPY", "of the binary COPY", title=title
    )
    for name, rates in found.items():
        table.add_row(
            name,
            *(f"{each(rates):,.0f}" for each in (min, statistics.median, max)),
            *(f"{ratio(rates, found[base]):.2f}" for base in (TEXT, BINARY)),
        )
    return table


def ratio(rates: list[float], base: list[float]) -> float:
    """The median of the ratios within each repeat: what ran side by side is compared."""
    return statistics.median(mine / other for mine, other in zip(rates, base, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.topic_to_rows", description=__doc__)
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    console = Console(width=130)
    with (
        EmbeddedPostgres(ephemeral=True, settings=("max_wal_size=4GB", "shared_buffers=512MB")) as postgres,
        EmbeddedKafka() as kafka,
        tempfile.TemporaryDirectory() as folder,
    ):
        migrate(postgres.dsn)
        bench = Bench(kafka, postgres, Path(folder), asked.entries)
        bench.fill_topic(asked.partitions)
        bench.consume()  # warms up, and gives the rows for the files
        bench.write_files()
        bench.cpu.clear()
        found = measure(bench, asked.repeats, console.print)
    cpu = statistics.median(bench.cpu) / asked.entries * 1e6
    peak = max(bench.peaks)
    title = (
        f"{asked.entries:,} entries, {asked.repeats} times; our process: {cpu:.1f} CPU us an entry, "
        f"start included, and at most {peak:,.0f} MB"
    )
    console.print(as_table(found, title))
    if asked.json:
        asked.json.write_text(
            json.dumps(
                {"entries": asked.entries, "cpu_us_per_entry": cpu, "peak_mb": peak, "rows_per_second": found}
            )
        )


if __name__ == "__main__":
    main()
