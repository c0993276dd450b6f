"""Kafka and PostgreSQL by testcontainers, for machines where a Docker engine answers.

Kept small on purpose: no Docker engine was at hand where this was written, so this path has never been run
there. LLM_AUDIT_TEST_DOCKER=off skips it in favour of Maven and wheels.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from docker import DockerClient  # type: ignore[import-untyped] # docker ships no types
from docker.errors import DockerException  # type: ignore[import-untyped] # docker ships no types
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer


def engine_answers() -> bool:
    """Say whether a Docker engine may be used and answers within 5 seconds."""
    if os.environ.get("LLM_AUDIT_TEST_DOCKER") == "off":
        return False
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    try:
        return bool(DockerClient.from_env(timeout=5).ping())
    except DockerException:
        return False


@contextmanager
def kafka_in_docker() -> Iterator[str]:
    """Run Kafka (KRaft, one node) and give its bootstrap address."""
    with KafkaContainer().with_kraft() as kafka:
        yield str(kafka.get_bootstrap_server())


@contextmanager
def postgres_in_docker() -> Iterator[str]:
    """Run PostgreSQL 18 and give a libpq URI of its superuser."""
    with PostgresContainer("postgres:18", driver=None) as postgres:
        url = urlsplit(postgres.get_connection_url())
        yield url._replace(scheme="postgresql").geturl()
