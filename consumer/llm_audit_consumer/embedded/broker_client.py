"""The embedded package's one use of confluent_kafka: asking a broker whether it is ready, and the mock cluster.

Run as a script it hosts librdkafka's mock cluster until it is stopped:
`python broker_client.py NODES ADDRESS_FILE` writes the bootstrap addresses to ADDRESS_FILE when it is up.
"""

import logging
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

_REQUEST_SECONDS = 2.0
# librdkafka reports refused connections to its logger; while a server starts they are expected.
_SILENT = logging.getLogger(f"{__name__}.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def wait_ready(
    bootstrap_servers: str, nodes: int, *, deadline_seconds: float, alive: Callable[[], bool]
) -> bool:
    """Ask for metadata until `nodes` brokers answer.

    Returns:
        False when the deadline passed or `alive` said no.
    """
    deadline = time.monotonic() + deadline_seconds
    # Short waits between connection attempts (milliseconds): readiness is noticed soon.
    waits: dict[str, str | int] = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 100}
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, **waits}, logger=_SILENT)
    while alive() and time.monotonic() < deadline:
        try:
            if len(admin.list_topics(timeout=_REQUEST_SECONDS).brokers) >= nodes:
                return True
        except KafkaException:
            continue  # not up yet; the request itself waited
    return False


def make_appear(bootstrap_servers: str, topic: str) -> None:
    """Make the mock cluster have a topic: it makes one when a producer asks for it, and on no other request."""
    Producer({"bootstrap.servers": bootstrap_servers}, logger=_SILENT).list_topics(
        topic, timeout=_REQUEST_SECONDS
    )


def host_mock_cluster(nodes: int, address_file: Path) -> None:
    """Host the mock cluster in this process and return when the process is asked to stop."""
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": nodes})
    brokers = host.list_topics(timeout=10.0).brokers.values()
    unfinished = address_file.with_name(address_file.name + ".unfinished")
    unfinished.write_text(",".join(f"{broker.host}:{broker.port}" for broker in brokers), encoding="utf-8")
    unfinished.replace(address_file)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    host_mock_cluster(int(sys.argv[1]), Path(sys.argv[2]))
