"""``llm-audit topic``: topics made as they must be, and every difference found. On the real broker."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from llm_audit_consumer.cli.group import cli
from llm_audit_consumer.errors import AuditConsumerError
from llm_audit_schemas import topics
from llm_audit_schemas.topics import TopicSpec
from tests.parts.servers import KafkaUnderTest

SMALL = ("--replication", "1", "--min-in-sync", "1", "--partitions", "2")


class TopicCommand:
    """Runs the command against the broker, for an entries topic of the test's own."""

    def __init__(self, servers: str) -> None:
        self.topic = f"test-{uuid.uuid4().hex[:12]}"
        self.names = (self.topic, topics.MARKERS, topics.CONTENT)
        self.admin = AdminClient({"bootstrap.servers": servers})
        self._servers = servers

    def __call__(self, action: str, *arguments: str) -> Result:
        own = ("--kafka-bootstrap-servers", self._servers, "--topic", self.topic)
        return CliRunner().invoke(cli, ["topic", action, *own, *arguments])

    def present(self) -> list[str]:
        return [name for name in self.names if name in self.admin.list_topics(timeout=30).topics]

    def set(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        (future,) = self.admin.incremental_alter_configs([resource]).values()
        future.result(30)
        until(lambda: self.setting(topic, name) == value, f"{name} of {topic} to be {value}")

    def setting(self, topic: str, name: str) -> str | None:
        (future,) = self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        found: str | None = future.result(30)[name].value
        return found

    def remove(self) -> None:
        if self.present():
            for future in self.admin.delete_topics(self.present()).values():
                future.result(30)
            until(lambda: not self.present(), "the topics to be gone")


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait for what a broker has promised and may not show at once."""
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture
def command(kafka_broker: KafkaUnderTest) -> Iterator[TopicCommand]:
    command = TopicCommand(kafka_broker.bootstrap_servers)
    command.remove()
    yield command
    command.remove()


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(command: TopicCommand) -> None:
    done = command("create", "--dry-run", *SMALL)
    assert done.exit_code == 0
    assert done.output.splitlines() == [f"would create: {name}" for name in command.names]
    assert command.present() == []
    as_json = json.loads(command("create", "--dry-run", "--json", *SMALL).output)
    assert as_json == {"created": False, "topics": list(command.names), "differences": []}
    assert command.present() == []


def test_topics_are_made_as_they_must_be(command: TopicCommand) -> None:
    done = command("create", "--json", *SMALL)
    assert done.exit_code == 0
    assert json.loads(done.output) == {"created": True, "topics": list(command.names), "differences": []}
    assert command.present() == list(command.names)
    found = command.admin.list_topics(timeout=30).topics[command.topic]
    assert len(found.partitions) == 2
    (described,) = command.admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, command.topic)]
    ).values()
    settings = {name: entry.value for name, entry in described.result(30).items()}
    assert settings.items() >= TopicSpec(command.topic, min_in_sync=1).broker_config().items()
    assert settings["message.timestamp.type"] == "LogAppendTime"

    again = command("create", *SMALL)
    assert (again.exit_code, again.output) == (0, "Every topic is there already.\n")
    checked = command("check", *SMALL)
    assert (checked.exit_code, checked.output) == (0, "The topics are as they must be.\n")
    assert json.loads(command("check", "--json", *SMALL).output) == {"ok": True, "differences": []}


def test_a_check_finds_missing_topics(command: TopicCommand) -> None:
    done = command("check", "--json", *SMALL)
    assert [(each["topic"], each["setting"]) for each in json.loads(done.output)["differences"]] == [
        (name, "topic") for name in command.names
    ]
    assert_exit_code(done, 7)


def test_a_check_finds_what_was_changed_and_create_does_not_alter_it(command: TopicCommand) -> None:
    command("create", *SMALL)
    command.set(command.topic, "retention.ms", "1000")
    done = command("check", "--json", *SMALL)
    (difference,) = json.loads(done.output)["differences"]
    wanted = TopicSpec(command.topic).broker_config()["retention.ms"]
    assert (difference["topic"], difference["setting"]) == (command.topic, "retention.ms")
    assert (difference["found"], difference["wanted"]) == ("1000", wanted)
    assert f"--add-config retention.ms={wanted}" in difference["mend"]
    assert_exit_code(done, 7)

    created = command("create", *SMALL)
    assert created.exit_code == 0
    assert "retention.ms" in created.output
    assert_exit_code(command("check", *SMALL), 7)


def test_a_check_finds_too_few_partitions_and_copies(command: TopicCommand) -> None:
    command("create", *SMALL)
    done = command("check", "--json", "--partitions", "4", "--replication", "3", "--min-in-sync", "1")
    found = {
        (each["topic"], each["setting"], each["found"]) for each in json.loads(done.output)["differences"]
    }
    assert found == {
        (name, setting, count)
        for name in command.names
        for setting, count in (("partitions", "2"), ("replication", "1"))
    }


def test_a_replication_beyond_the_brokers_is_refused_with_the_mend(command: TopicCommand) -> None:
    done = command("create")
    assert_exit_code(done, 7)
    assert isinstance(done.exception, AuditConsumerError)
    assert "--replication" in done.exception.hint
    assert command.present() == []


def assert_exit_code(done: Result, code: int) -> None:
    """Our own errors reach the runner as they are; `run` makes exit codes of them."""
    assert isinstance(done.exception, AuditConsumerError), done.output
    assert done.exception.exit_code == code
