"""The trail on brokers behind TLS: by user and password (SCRAM), and by client certificate (mutual TLS)."""

from __future__ import annotations

import json
import uuid

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from llm_audit_consumer.cli import topic as topic_command
from llm_audit_consumer.errors import BrokerUnavailableError
from llm_audit_consumer.kafka import topics as kafka_topics
from llm_audit_consumer.kafka.client import KafkaSource
from llm_audit_producer import KafkaSink
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.consumer.consumer_process import ConsumerProcess, consume_environment, eventually
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.producer.sinks import Ledger, entries
from tests.security.brokers import PASSWORD, SecureBroker
from tests.security.certificates import Authority

WRONG = "another-s3cret"
SECONDS = 3.0


@pytest.fixture(params=["by_password", "by_certificate"])
def broker(request: pytest.FixtureRequest) -> SecureBroker:
    found: SecureBroker = request.getfixturevalue(request.param)
    return found


def new_topic(broker: SecureBroker) -> str:
    name = f"secure-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": broker.internal})  # held: without it the request is dropped
    (made,) = admin.create_topics([NewTopic(name, 1)]).values()
    made.result(30)
    return name


def refusal(variables: dict[str, str]) -> BrokerUnavailableError:
    """What the consumer says of a broker that it cannot enter."""
    source = KafkaSource(KafkaConnection.from_environment(variables), "entries", "group")
    try:
        with pytest.raises(BrokerUnavailableError) as caught:
            source.check(SECONDS)
    finally:
        source.close()
    return caught.value


def test_entries_go_from_the_producer_into_the_table(
    broker: SecureBroker, database: Database, tables: Tables
) -> None:
    topic = new_topic(broker)
    sink, ledger = KafkaSink(KafkaConnection.from_environment(broker.variables), topic), Ledger()
    sink.open(ledger)
    for entry in entries(20):
        sink.append(entry)
    assert sink.close(30) == 0
    environment = {**consume_environment(broker.bootstrap, topic, database.dsn), **broker.variables}
    with ConsumerProcess(environment).wait_started() as consumer:
        eventually(lambda: tables.row_count() == 20, "every entry")
        eventually(lambda: consumer.get("/readyz")[0] == 200, "readiness")
        assert consumer.terminate() == 0
        assert PASSWORD not in json.dumps(consumer.log)


def test_the_topic_command_enters_too(broker: SecureBroker) -> None:
    answer = CliRunner().invoke(
        topic_command.command, ["create", "--dry-run", "--json"], env=broker.variables
    )
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["topics"]


def test_an_authority_that_did_not_sign_the_broker(by_password: SecureBroker, stranger: Authority) -> None:
    error = refusal(by_password.but(ssl_ca=stranger.file))
    assert "certificate verify failed" in str(error)
    assert "LLM_AUDIT_KAFKA_SSL_CA" in error.hint


def test_without_an_authority_the_system_s_are_asked(by_password: SecureBroker) -> None:
    error = refusal(by_password.but(ssl_ca=None))
    assert "certificate" in str(error)


def test_an_address_that_the_certificate_does_not_name(by_password: SecureBroker) -> None:
    port = by_password.bootstrap.rpartition(":")[2]
    error = refusal(by_password.but(bootstrap=f"localhost:{port}"))
    assert f"Kafka at localhost:{port}" in str(error)
    assert "certificate verify failed" in str(error)
    assert "names the address in LLM_AUDIT_KAFKA_BOOTSTRAP" in error.hint


@pytest.mark.parametrize("changes", [{"sasl_password": WRONG}, {"sasl_username": "nobody"}])
def test_a_wrong_login(by_password: SecureBroker, changes: dict[str, str]) -> None:
    error = refusal(by_password.but(**changes))
    assert "uthentication failed" in str(error)
    assert "LLM_AUDIT_KAFKA_SASL_PASSWORD" in error.hint
    assert WRONG not in str(error) + error.hint


def test_a_mechanism_that_the_broker_does_not_have(by_password: SecureBroker) -> None:
    error = refusal(by_password.but(sasl_mechanism="PLAIN"))
    assert "LLM_AUDIT_KAFKA_SASL_MECHANISM" in error.hint
    assert PASSWORD not in str(error)


def test_a_client_without_a_certificate(by_certificate: SecureBroker) -> None:
    error = refusal(by_certificate.but(ssl_certificate=None, ssl_key=None, ssl_key_password=None))
    assert "LLM_AUDIT_KAFKA_SSL_CERTIFICATE" in error.hint, str(error)


def test_a_certificate_that_the_broker_does_not_trust(
    by_certificate: SecureBroker, stranger: Authority
) -> None:
    own = stranger.sign("client")
    error = refusal(
        by_certificate.but(ssl_certificate=own.certificate, ssl_key=own.key, ssl_key_password=None)
    )
    assert "LLM_AUDIT_KAFKA_SSL_CERTIFICATE" in error.hint, str(error)


def test_plaintext_against_a_tls_port_ends_in_an_error(broker: SecureBroker) -> None:
    error = refusal({"LLM_AUDIT_KAFKA_BOOTSTRAP": broker.bootstrap})
    assert "LLM_AUDIT_KAFKA_SECURITY_PROTOCOL" in error.hint


def test_tls_against_a_plaintext_port_does_not_fall_back(by_password: SecureBroker) -> None:
    error = refusal(by_password.but(bootstrap=by_password.internal))
    assert "does not answer" in str(error)


def test_the_daemon_exits_with_the_cause_and_without_the_secret(
    by_password: SecureBroker, database: Database
) -> None:
    environment = {
        **consume_environment(by_password.bootstrap, "entries", database.dsn, startup_timeout=str(SECONDS)),
        **by_password.but(sasl_password=WRONG),
    }
    with ConsumerProcess(environment) as consumer:
        assert consumer.wait() == 4
        said = json.dumps(consumer.log)
    assert "LLM_AUDIT_KAFKA_SASL_PASSWORD" in said
    assert WRONG not in said
    assert "Traceback" not in said


def test_the_topic_command_says_the_cause(by_password: SecureBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topics, "_TIMEOUT_SECONDS", SECONDS)
    answer = CliRunner().invoke(topic_command.command, ["check"], env=by_password.but(sasl_password=WRONG))
    assert isinstance(answer.exception, BrokerUnavailableError)
    assert "LLM_AUDIT_KAFKA_SASL_PASSWORD" in answer.exception.hint
    assert WRONG not in str(answer.exception) + answer.output
