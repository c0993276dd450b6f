"""The daemon under a login that is a writer and nothing else; the reports under an auditor."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli.report import command
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports import run
from llm_audit_schemas import EntryCodec
from tests.consumer.consumer_process import ConsumerProcess, consume_environment, eventually
from tests.consumer.daemon_thread import daemon_thread
from tests.consumer.entries import new_entry, send, send_entries
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest
from tests.roles.logins import Logins


def test_the_whole_daemon_runs_as_writer(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, new_login: Logins
) -> None:
    writer = new_login(trail.dsn, "llm_audit_writer")
    tables = Tables(trail.dsn)
    first = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    with daemon_thread(kafka_broker.bootstrap_servers, topic, writer):
        eventually(lambda: tables.row_count() == 30, "rows")
        twice = EntryCodec().encode(new_entry(request_id=first[0]))
        send(kafka_broker.bootstrap_servers, topic, [(0, twice, None), (0, b"no entry", None)])
        second = send_entries(kafka_broker.bootstrap_servers, topic, 5)
        eventually(lambda: tables.row_count() == 35 and tables.dead_letter_count() == 1, "rows")
    assert sorted(tables.request_ids()) == sorted(first + second)
    assert sum(tables.offsets().values()) == 37


def test_the_command_runs_as_writer_with_its_own_defaults(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, new_login: Logins
) -> None:
    """`--migrate` is on by default: with nothing pending it must ask for no right of the owner's."""
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 6)
    writer = new_login(trail.dsn, "llm_audit_writer")
    environment = consume_environment(kafka_broker.bootstrap_servers, topic, writer)
    tables = Tables(trail.dsn)
    with ConsumerProcess(environment) as consumer:
        eventually(lambda: tables.row_count() == len(sent), "rows")
        assert consumer.terminate() == 0
    assert sorted(tables.request_ids()) == sorted(sent)


def test_reports_run_as_auditor(trail: Database, new_login: Logins) -> None:
    auditor = new_login(trail.dsn, "llm_audit_auditor")
    for name in run.COLUMNS:
        asked = name.removesuffix("_plain")
        options = ["--plain"] if name.endswith("_plain") else []
        done = CliRunner().invoke(command, [asked, "--dsn", auditor, "--json", *options])
        assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    writer = CliRunner().invoke(
        command, ["cost", "--dsn", new_login(trail.dsn, "llm_audit_writer"), "--json"]
    )
    assert isinstance(writer.exception, ConfigurationError)
    with pytest.raises(ConfigurationError, match="permission denied"):
        raise writer.exception
