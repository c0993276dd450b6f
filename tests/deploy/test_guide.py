"""deploy/GUIDE.md: its blocks marked `tried` are run, in order, on a real Kafka and a real PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from llm_audit_consumer.embedded.postgres_files import wheel_programs
from llm_audit_schemas import topics
from tests.consumer.consumer_process import StartConsumer, consumers, environment_of, eventually
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables
from tests.deploy.tools import DEPLOY
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest, PostgresUnderTest
from tests.roles.logins import user_of, with_user

GUIDE = (DEPLOY / "GUIDE.md").read_text()
SET_UP, ROLES, RETENTION, UPGRADE, BACKUP = re.findall(r"(?ms)^```sh tried\n(.*?)^```$", GUIDE)


def test_each_block_says_whether_it_was_tried() -> None:
    assert set(re.findall(r"(?m)^```(.+)$", GUIDE)) == {"sh tried"}
    sections = re.split(r"(?m)^## ", GUIDE)
    for section in sections:
        if re.search(r"(?m)^    \S", section):  # an indented block: nothing here runs it
            assert "alidated, not run here" in section, section[:40]


@pytest.fixture
def topic(kafka_broker: KafkaUnderTest) -> Iterator[str]:
    """A name whose topic the guide makes; what it makes is taken away again."""
    if not kafka_broker.is_real:
        pytest.skip("the mock broker makes no topics when told to")
    name = f"test-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})

    def there() -> list[str]:
        return [
            each
            for each in (name, topics.MARKERS, topics.CONTENT)
            if each in admin.list_topics(timeout=30).topics
        ]

    def remove() -> None:
        if found := there():
            for future in admin.delete_topics(found).values():
                future.result(30)
            eventually(lambda: not there(), "the topics to be gone")

    remove()
    yield name
    remove()


@pytest.fixture
def start(kafka_broker: KafkaUnderTest) -> Iterator[StartConsumer]:
    with consumers(kafka_broker.bootstrap_servers) as starter:
        yield starter


@pytest.fixture
def restored_name(postgres_server: PostgresUnderTest) -> Iterator[str]:
    name = f"restored_{uuid.uuid4().hex[:12]}"
    yield name
    shell(f'dropdb --force --if-exists --maintenance-db="{postgres_server.dsn}" {name}', {})


@pytest.fixture
def writer(postgres_server: PostgresUnderTest, restored_name: str) -> Iterator[str]:
    """The connection string of the login that the guide makes; dropped once the databases are."""
    name = f"writer_{uuid.uuid4().hex[:12]}"
    yield with_user(postgres_server.dsn, name, "only-here")
    shell(f'psql --quiet --dbname="{postgres_server.dsn}" --command "DROP ROLE IF EXISTS {name}"', {})


def shell(commands: str, variables: dict[str, str]) -> str:
    """Run commands as an operator's shell would, ending at the first that fails."""
    programs = [str(Path(sys.executable).parent), str(wheel_programs() / "bin"), os.environ["PATH"]]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env=environment_of({**variables, "PATH": os.pathsep.join(programs)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_can_be_followed(
    kafka_broker: KafkaUnderTest,
    postgres_server: PostgresUnderTest,
    database: Database,
    restored_name: str,
    writer: str,
    topic: str,
    start: StartConsumer,
    tmp_path: Path,
) -> None:
    servers, restored = kafka_broker.bootstrap_servers, postgres_server.dsn_of(restored_name)
    variables = {
        "LLM_AUDIT_KAFKA_BOOTSTRAP": servers,
        "LLM_AUDIT_POSTGRES_DSN": database.dsn,
        "LLM_AUDIT_TOPIC": topic,
        "PARTITIONS": "3",
        "REPLICATION": "1",
        "MIN_IN_SYNC": "1",
        "WRITER": user_of(writer),
        "WRITER_PASSWORD": "only-here",
        "BACKUP": str(tmp_path / "audit.dump"),
        "ADMIN_DSN": postgres_server.dsn,
        "RESTORED_NAME": restored_name,
        "RESTORED_DSN": restored,
    }
    shell(SET_UP, variables)
    shell(ROLES, variables)
    sent = send_entries(servers, topic, 6)
    first = start(topic, with_user(database.dsn, user_of(writer), "only-here"), migrate="0")
    eventually(lambda: Tables(database.dsn).row_count() == 6, "the rows before the backup")
    assert shell(RETENTION, variables)
    assert '"migrations": []' in shell(UPGRADE, variables), "nothing is pending"
    shell(BACKUP, variables)

    sent += send_entries(servers, topic, 6)
    eventually(lambda: Tables(database.dsn).row_count() == 12, "the rows after the backup")
    first.terminate()
    assert Tables(restored).row_count() == 6
    start(topic, restored)
    eventually(lambda: Tables(restored).row_count() == 12, "the restored database to catch up")
    found = Tables(restored).query("SELECT request_id::text FROM llm_audit_log")
    assert sorted(row[0] for row in found) == sorted(sent)
