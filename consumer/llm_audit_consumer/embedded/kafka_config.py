"""What one node of the embedded Kafka is told: its `server.properties`. Pure text, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from llm_audit_consumer.embedded.process import LOOPBACK

PORTS_PER_NODE = 3


@dataclass(frozen=True, slots=True)
class NodePorts:
    """One node's listeners: clients, the other brokers, the controller quorum."""

    client: int
    internal: int
    controller: int


def addresses(ports: list[int]) -> str:
    """Return 127.0.0.1 with each port, separated by commas, as Kafka clients take it."""
    return ",".join(f"{LOOPBACK}:{port}" for port in ports)


def server_properties(
    node_id: int,
    nodes: Mapping[int, NodePorts],
    *,
    log_dir: str,
    client_protocol: str,
    extra: Mapping[str, str],
) -> str:
    """Return the `server.properties` of one node, broker and controller in one (KRaft combined mode).

    Clients use the listener CLIENT, whose security protocol is chosen; the brokers talk among themselves
    on INTERNAL, plaintext, so that a broken client-side TLS or SASL setting never keeps a node from starting.

    Args:
        node_id: This node's id.
        nodes: All nodes' ports by node id.
        log_dir: Where its data lives.
        client_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        extra: Settings that are added, or replace ours.
    """
    mine = nodes[node_id]
    copies = min(3, len(nodes))
    settings = {
        "node.id": str(node_id),
        "process.roles": "broker,controller",
        "controller.quorum.voters": ",".join(
            f"{each}@{LOOPBACK}:{ports.controller}" for each, ports in nodes.items()
        ),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INTERNAL",
        "listeners": (
            f"CLIENT://{LOOPBACK}:{mine.client},INTERNAL://{LOOPBACK}:{mine.internal},"
            f"CONTROLLER://{LOOPBACK}:{mine.controller}"
        ),
        "advertised.listeners": (f"CLIENT://{LOOPBACK}:{mine.client},INTERNAL://{LOOPBACK}:{mine.internal}"),
        "listener.security.protocol.map": (
            f"CLIENT:{client_protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "log.dirs": log_dir,
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(max(1, copies - 1)),
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(max(1, copies - 1)),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(max(1, copies - 1)),
        # Few partitions and threads, a small cleaner buffer (bytes), no waiting for more group members:
        # one machine, few clients, quick starts.
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.num.partitions": "3",
        "share.coordinator.state.topic.num.partitions": "3",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": "16777216",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker may come back only when its old session is over: 4 s instead of 9 s.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
        # As in production: a mistyped topic name is an error, not a new topic.
        "auto.create.topics.enable": "false",
    }
    settings.update(extra)
    return "".join(f"{name}={_escaped(value)}\n" for name, value in settings.items())


def _escaped(value: str) -> str:
    r"""Write a value as Java reads properties files: ISO 8859-1, `\` starts an escape, a newline ends the value."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)
