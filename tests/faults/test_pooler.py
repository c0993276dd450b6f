"""PostgreSQL behind a pooler that gives each transaction whatever connection is free (PgBouncer, long form only)."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from llm_audit_consumer.embedded.process import ChildProcess, free_ports, port_is_free
from llm_audit_consumer.store import migrate
from tests.consumer.consumer_process import StartConsumer, environment_of, eventually
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

pytestmark = [pytest.mark.faults, pytest.mark.long_form]

_SETTINGS = """[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@contextmanager
def pooler(dsn: str, folder: Path) -> Iterator[tuple[str, ChildProcess]]:
    """A PgBouncer in front of a database: the connection string to use, and its process."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "the long form needs PgBouncer: install the package pgbouncer"
    server = urlsplit(dsn)
    (port,) = free_ports(1)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        _SETTINGS.format(
            host=server.hostname,
            port=server.port,
            user=server.username,
            password=server.password,
            listen=port,
        )
    )
    nobody = pwd.getpwnam("nobody")
    owner = (nobody.pw_uid, nobody.pw_gid) if os.geteuid() == 0 else None  # it refuses to run as root
    for each in (folder, *folder.parents):
        if owner and each.owner() == "root" and not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o001)
    process = ChildProcess([program, str(settings)], log=folder / "pgbouncer.log", cwd=folder, owner=owner)
    process.start()
    try:
        eventually(lambda: not port_is_free(port), "the pooler to listen")
        yield server._replace(netloc=f"{server.username}@127.0.0.1:{port}").geturl(), process
    finally:
        process.stop()


def test_two_consumers_behind_a_pooler_that_is_killed_in_between(
    start: StartConsumer,
    kafka_broker: KafkaUnderTest,
    topic: str,
    database: Database,
    tables: Tables,
    tmp_path: Path,
) -> None:
    with pooler(database.dsn, tmp_path) as (pooled, process):
        consumers = [start(topic, pooled, session_timeout="6", batch_messages="50") for _ in range(2)]
        sent = send_entries(kafka_broker.bootstrap_servers, topic, 3000)
        eventually(lambda: tables.row_count() > 0, "the first rows")
        os.kill(process.pid, signal.SIGKILL)
        eventually(lambda: not process.running, "the pooler's end")
        sent += send_entries(kafka_broker.bootstrap_servers, topic, 300)
        process.start()
        eventually(lambda: tables.row_count() == len(sent), "all rows", seconds=60)
        assert sorted(tables.request_ids()) == sorted(sent)
        third = start(topic, pooled, session_timeout="6")  # whose migrations take a lock, and give it back
        for each in (*consumers, third):
            assert each.terminate() == 0
    assert tables.dead_letter_count() == 0


def test_migrations_hold_nothing_up_behind_a_pooler(database: Database, tmp_path: Path) -> None:
    """A lock that were the session's would stay with the pooled connection, and the next one would wait for it."""
    with pooler(database.dsn, tmp_path) as (pooled, _process):
        migrate(pooled)
        with closing(psycopg2.connect(pooled)) as other:
            other.cursor().execute("SELECT 1")  # takes the connection that migrated, for its open transaction
            again = subprocess.run(
                [sys.executable, "-m", "llm_audit_consumer.cli", "migrate"],
                env=environment_of({"LLM_AUDIT_POSTGRES_DSN": pooled}),
                timeout=30,
                check=False,
            )
            assert again.returncode == 0
