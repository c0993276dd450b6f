"""A Kafka whose clients come through proxies, one for each node, and whose nodes can be killed and frozen."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from llm_audit_consumer.embedded import EmbeddedKafka
from llm_audit_schemas import topics
from tests.consumer.consumer_process import eventually
from tests.faults.proxy import Proxy

_REQUEST_SECONDS = 30.0
_START_SECONDS = 180.0
_HEAP_MEGABYTES = 256


class ProxiedKafka(EmbeddedKafka):
    """An embedded Kafka that tells its clients the proxies' addresses instead of its own.

    Args:
        folder: Where it lives.
        nodes: One, or three that replicate.
    """

    def __init__(self, folder: Path, nodes: int) -> None:
        super().__init__(folder, nodes=nodes, heap_megabytes=_HEAP_MEGABYTES, deadline_seconds=_START_SECONDS)
        self.proxies: dict[int, Proxy] = {}

    @property
    def proxied_servers(self) -> str:
        """The clients' addresses."""
        return ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies.values())

    @property
    def nodes(self) -> list[int]:
        """The nodes' ids."""
        return list(self._ports)

    def kill_node(self, node: int) -> None:
        """SIGKILL; ``start`` brings it back with its data."""
        os.kill(self.pid_of(node), signal.SIGKILL)
        # Its guard must have noticed: `start` leaves alone what it takes for running.
        eventually(lambda: not self._servers[node].running, f"the end of node {node}")

    def pid_of(self, node: int) -> int:
        return self.pids[node - 1]

    def make_topics(self, partitions: int) -> None:
        """Make the trail's two topics, as durable as the cluster allows."""
        copies = len(self.nodes)
        config = {"min.insync.replicas": str(max(1, copies - 1)), "unclean.leader.election.enable": "false"}
        wanted = [
            NewTopic(name, num_partitions=partitions, replication_factor=copies, config=config)
            for name in (topics.ENTRIES, topics.MARKERS)
        ]
        admin = self.admin()  # held until the answers are there
        for future in admin.create_topics(wanted, operation_timeout=_REQUEST_SECONDS).values():
            future.result()

    def admin(self) -> AdminClient:
        """A client that comes by no proxy."""
        return AdminClient({"bootstrap.servers": self.internal_servers, "log_level": 2})

    def wait_in_sync(self, copies: int) -> None:
        """Wait until every partition of the trail has so many copies in sync."""
        admin = self.admin()

        def in_sync() -> bool:
            found = admin.list_topics(timeout=_REQUEST_SECONDS).topics
            partitions = [
                each for name in (topics.ENTRIES, topics.MARKERS) for each in found[name].partitions.values()
            ]
            return all(len(each.isrs) >= copies for each in partitions)

        eventually(in_sync, f"{copies} copies in sync", _START_SECONDS)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset that the next message of each partition gets."""
        client = Consumer({"bootstrap.servers": self.internal_servers, "group.id": "end-offsets"})
        try:
            found = client.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions
            return {
                each: client.get_watermark_offsets(TopicPartition(topic, each), timeout=_REQUEST_SECONDS)[1]
                for each in found
            }
        finally:
            client.close()

    def stop(self) -> None:
        """Stop nodes and proxies."""
        super().stop()
        for proxy in self.proxies.values():
            proxy.close()
        self.proxies = {}

    def _write_properties(self, folder: Path) -> None:
        """Each node's own properties, with the proxy's address told to clients: the last of two equal names counts."""
        super()._write_properties(folder)
        for node, ports in self._ports.items():
            proxy = Proxy(lambda port=ports.client: port)  # type: ignore[misc]  # mypy cannot infer its default's type
            self.proxies[node] = proxy
            told = f"CLIENT://127.0.0.1:{proxy.port},INTERNAL://127.0.0.1:{ports.internal}"
            with (folder / f"node-{node}" / "server.properties").open("a") as file:
                file.write(f"advertised.listeners={told}\n")
