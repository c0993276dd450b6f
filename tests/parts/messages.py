"""Plain producing and consuming for tests, with deadlines instead of sleeps."""

import time
from collections.abc import Callable, Iterable

from confluent_kafka import Consumer, KafkaError, Message, Producer

DEADLINE_SECONDS = 30.0
_POLL_SECONDS = 0.1


def new_producer(bootstrap_servers: str, **settings: str | int) -> Producer:
    """A producer with the guarantees the project's own producer asks for; settings with _ for dots."""
    config: dict[str, str | int] = {
        "bootstrap.servers": bootstrap_servers,
        "enable.idempotence": "true",
        "acks": "all",
        "compression.type": "lz4",
        "linger.ms": 5,
    }
    config.update({name.replace("_", "."): value for name, value in settings.items()})
    return Producer(config)


def produce_all(producer: Producer, topic: str, messages: Iterable[tuple[int, bytes]]) -> list[Message]:
    """Produce (partition, value) pairs and return their delivery reports, all of them successes."""
    delivered: list[Message] = []
    failed: list[KafkaError] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            delivered.append(message)
        else:
            failed.append(error)

    for partition, value in messages:
        producer.produce(topic, value, partition=partition, on_delivery=report)
    left = producer.flush(DEADLINE_SECONDS)
    assert left == 0, f"{left} messages without a delivery report after {DEADLINE_SECONDS:g} s"
    assert failed == [], failed
    return delivered


def new_consumer(bootstrap_servers: str, group: str, **settings: str | int) -> Consumer:
    """A consumer that commits only when told and starts at the beginning; settings with _ for dots."""
    config: dict[str, str | int] = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": group,
        "enable.auto.commit": "false",
        "auto.offset.reset": "earliest",
        # The mock broker hands a leaver's partitions on only when the leaver's session would have ended.
        "session.timeout.ms": 6000,
    }
    config.update({name.replace("_", "."): value for name, value in settings.items()})
    return Consumer(config)


def consume_count(consumer: Consumer, count: int) -> list[Message]:
    """Poll until `count` messages came; fail at the deadline or at a consumer error."""
    messages: list[Message] = []

    def enough() -> bool:
        message = consumer.poll(_POLL_SECONDS)
        if message is not None:
            error = message.error()
            assert error is None, error
            messages.append(message)
        return len(messages) >= count

    wait_until(enough, f"{count} messages")
    return messages


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Ask again and again until the condition holds; it should itself wait a little (a poll with a timeout)."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
