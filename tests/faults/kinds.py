"""The kinds of fault: what each does to a trail, and how it is mended.

A fault begins at one instant and is mended at a later one; others begin in between. Two faults of one ``part`` do not
overlap, because the second could not be told from the first.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.freezing import freeze, thaw
from tests.faults.services import MODES, Mode
from tests.faults.trail import SESSION_SECONDS, Trail

Mend = Callable[[], None]

_CONTROLLER_SECONDS = 4.0  # `broker.session.timeout.ms` of the embedded Kafka
_ADOPTION_SECONDS = 5.0  # how often a producer looks for the spools of dead ones
_CONNECT_SECONDS = 5.0  # the consumer's time-out for a connection to PostgreSQL
_PAST = 1.5


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: What is done.
        part: Which part of the trail it is done to.
        begin: Does it, and gives what mends it.
        kills: Processes that it kills with SIGKILL.
        victim: What they are called in the figures.
        least_seconds: It is not mended earlier, so that what it stopped is past its time-outs.
        nodes: Kafka nodes that it needs.
    """

    name: str
    part: str
    begin: Callable[[Trail, random.Random], Mend]
    kills: int = 0
    victim: str = ""
    least_seconds: float = 0.0
    nodes: int = 1


def _nothing() -> None:
    """It mends itself."""


def _kill_broker(trail: Trail, rng: random.Random) -> Mend:
    trail.kafka.kill_node(rng.choice(trail.kafka.nodes))
    return trail.kafka.start


def _kill_two_brokers(trail: Trail, rng: random.Random) -> Mend:
    for node in rng.sample(trail.kafka.nodes, 2):
        trail.kafka.kill_node(node)
    return trail.kafka.start


def _freeze_broker(trail: Trail, rng: random.Random) -> Mend:
    pid = trail.kafka.pid_of(rng.choice(trail.kafka.nodes))
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def _rolling_restart(trail: Trail, rng: random.Random) -> Mend:
    for node in rng.sample(trail.kafka.nodes, len(trail.kafka.nodes)):
        trail.kafka.stop_node(node)
        trail.wait_for_calls(rng.randint(5, 50))
        trail.kafka.start()
        trail.kafka.wait_in_sync(len(trail.kafka.nodes))
    return _nothing


def _kill_postgres(trail: Trail, _rng: random.Random) -> Mend:
    os.kill(trail.postgres.pid, signal.SIGKILL)
    return trail.postgres.restart


def _restart_postgres(trail: Trail, _rng: random.Random) -> Mend:
    trail.postgres.restart()
    return _nothing


def _freeze_postgres(trail: Trail, _rng: random.Random) -> Mend:
    pid = trail.postgres.pid
    freeze(pid)
    return lambda: thaw(pid)


def _kill_consumer(trail: Trail, rng: random.Random) -> Mend:
    consumer = trail.consumers.pop(rng.randrange(len(trail.consumers)))
    consumer.kill()
    consumer.__exit__(None, None, None)
    return trail.fill_up


def _freeze_consumer(trail: Trail, rng: random.Random) -> Mend:
    consumer = rng.choice(trail.consumers)
    consumer.send_signal(signal.SIGSTOP)
    return lambda: consumer.send_signal(signal.SIGCONT)


def _consumer_joins_and_leaves(trail: Trail, _rng: random.Random) -> Mend:
    consumer = trail.start_consumer()
    return lambda: trail.let_leave(consumer)


def _kill_service(mode: Mode) -> Callable[[Trail, random.Random], Mend]:
    def begin(trail: Trail, _rng: random.Random) -> Mend:
        (life,) = [each for each in trail.services if each.mode == mode]
        trail.services.remove(life)
        life.kill()
        return trail.fill_up

    return begin


def _freeze_service(trail: Trail, rng: random.Random) -> Mend:
    life = rng.choice(trail.services)
    life.send_signal(signal.SIGSTOP)
    return lambda: life.send_signal(signal.SIGCONT)


def _cut_kafka(trail: Trail, rng: random.Random) -> Mend:
    for proxy in trail.kafka.proxies.values():
        rng.choice((proxy.cut, proxy.refuse))()
    return lambda: _heal_kafka(trail)


def _delay_kafka(trail: Trail, rng: random.Random) -> Mend:
    for proxy in trail.kafka.proxies.values():
        proxy.delay(rng.uniform(0.01, 0.4))
    return lambda: _heal_kafka(trail)


def _hang_kafka(trail: Trail, rng: random.Random) -> Mend:
    proxies = list(trail.kafka.proxies.values())
    to_cut = [proxy for proxy in proxies if rng.random() < 0.5]
    for proxy in proxies:
        proxy.hang()

    def mend() -> None:
        for proxy in to_cut:
            proxy.cut()  # what was held back is lost: the broker may have taken what it answers to
        _heal_kafka(trail)

    return mend


def _heal_kafka(trail: Trail) -> None:
    for proxy in trail.kafka.proxies.values():
        proxy.heal()


def _cut_postgres(trail: Trail, rng: random.Random) -> Mend:
    rng.choice((trail.database_proxy.cut, trail.database_proxy.refuse))()
    return trail.database_proxy.heal


def _delay_postgres(trail: Trail, rng: random.Random) -> Mend:
    trail.database_proxy.delay(rng.uniform(0.01, 0.2))
    return trail.database_proxy.heal


def _hang_postgres(trail: Trail, rng: random.Random) -> Mend:
    to_cut = rng.random() < 0.5
    trail.database_proxy.hang()

    def mend() -> None:
        if to_cut:
            trail.database_proxy.cut()  # the answer to a commit is lost, where one was under way
        trail.database_proxy.heal()

    return mend


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill broker", "kafka", _kill_broker, kills=1, victim="broker"),
        Fault("kill two brokers", "kafka", _kill_two_brokers, kills=2, victim="broker", nodes=3),
        Fault("freeze broker", "kafka", _freeze_broker, least_seconds=_CONTROLLER_SECONDS * _PAST),
        Fault("rolling restart", "kafka", _rolling_restart, nodes=3),
        Fault("kill postgres", "postgres", _kill_postgres, kills=1, victim="postgres"),
        Fault("restart postgres", "postgres", _restart_postgres),
        Fault("freeze postgres", "postgres", _freeze_postgres, least_seconds=_CONNECT_SECONDS * _PAST),
        Fault("kill consumer", "consumer", _kill_consumer, kills=1, victim="consumer"),
        Fault("freeze consumer", "consumer", _freeze_consumer, least_seconds=SESSION_SECONDS * _PAST),
        Fault("consumer joins and leaves", "third consumer", _consumer_joins_and_leaves),
        Fault("freeze service", "service", _freeze_service, least_seconds=_ADOPTION_SECONDS * _PAST),
        Fault("cut kafka", "kafka connections", _cut_kafka),
        Fault("delay kafka", "kafka connections", _delay_kafka),
        Fault("hang kafka", "kafka connections", _hang_kafka, least_seconds=2.0),
        Fault("cut postgres", "postgres connections", _cut_postgres),
        Fault("delay postgres", "postgres connections", _delay_postgres),
        Fault("hang postgres", "postgres connections", _hang_postgres, least_seconds=2.0),
        *(
            Fault(f"kill {mode} service", "service", _kill_service(mode), kills=1, victim=f"{mode} service")
            for mode in MODES
        ),
    )
}
