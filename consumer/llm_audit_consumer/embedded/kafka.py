"""A real Apache Kafka in one folder: KRaft, one node or several, 127.0.0.1 only.

Layout of the folder:
    cluster.json         cluster id and ports, so that a restart keeps data and addresses
    node-N/data          a node's logs
    node-N/server.properties
    node-N/server.log    its warnings and errors of this run
"""

import base64
import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from llm_audit_consumer.embedded.broker_client import wait_ready
from llm_audit_consumer.embedded.errors import EmbeddedStartError
from llm_audit_consumer.embedded.kafka_config import (
    PORTS_PER_NODE,
    NodePorts,
    addresses,
    server_properties,
)
from llm_audit_consumer.embedded.kafka_jars import find_java, kafka_jars
from llm_audit_consumer.embedded.lifecycle import Startable
from llm_audit_consumer.embedded.process import ChildProcess, free_ports, port_is_free

_FORMAT_SECONDS = 120.0
_STOP_SECONDS = 15.0


class EmbeddedKafka(Startable):
    """A Kafka cluster of `nodes` brokers, each also a controller; three nodes replicate three times.

    Args:
        folder: Where everything lives; kept after `stop`, so the next start finds its data. None makes a
            temporary folder that `stop` removes.
        nodes: How many nodes; the same number each time for one folder.
        heap_megabytes: The most heap each node may take.
        client_protocol: The security protocol of the clients' listener.
        extra_properties: More server properties for every node, or others than ours.
        jars: The folder of Kafka's jars; fetched by Maven into the cache when None.
        deadline_seconds: How long the cluster may take to answer.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        nodes: int = 1,
        heap_megabytes: int = 512,
        client_protocol: str = "PLAINTEXT",
        extra_properties: Mapping[str, str] | None = None,
        jars: Path | None = None,
        deadline_seconds: float = 60.0,
    ) -> None:
        self._asked_folder = None if folder is None else folder.absolute()
        self._count = nodes
        self._heap_megabytes = heap_megabytes
        self._client_protocol = client_protocol
        self._extra = dict(extra_properties or {})
        self._jars = jars
        self._deadline_seconds = deadline_seconds
        self._temporary: Path | None = None
        self._ports: dict[int, NodePorts] = {}
        self._servers: dict[int, ChildProcess] = {}

    @property
    def bootstrap_servers(self) -> str:
        """The clients' addresses, separated by commas.

        Raises:
            RuntimeError: It was never started.
        """
        self._must_be_started()
        return addresses([ports.client for ports in self._ports.values()])

    @property
    def internal_servers(self) -> str:
        """The brokers' own plaintext addresses: for making users and rules when clients need TLS or SASL.

        Raises:
            RuntimeError: It was never started.
        """
        self._must_be_started()
        return addresses([ports.internal for ports in self._ports.values()])

    @property
    def pids(self) -> list[int]:
        """The nodes' process ids, in the order of their node ids (1, 2, ...)."""
        return [server.pid for server in self._servers.values()]

    @property
    def running(self) -> bool:
        """Whether all nodes are alive."""
        return bool(self._servers) and all(server.running for server in self._servers.values())

    def start(self) -> None:
        """Start all nodes that are not running and wait until every one answers a metadata request.

        Raises:
            EmbeddedMissingError: Java or Maven is missing, or the download failed.
            EmbeddedStartError: A node did not start; the message ends with its log's tail.
        """
        if self.running:
            return
        java, jars, folder = find_java(), self._jars or kafka_jars(), self._folder()
        if not self._servers:
            cluster_id = self._choose_cluster(folder)
            self._write_properties(folder)
            command = [str(java), "-cp", f"{jars}/*"]
            self._format(command, folder, cluster_id)
            self._servers = {node: self._server(command, folder, node) for node in self._ports}
        for server in self._servers.values():
            server.start()
        self._wait_ready()

    def stop(self) -> None:
        """Stop all nodes and remove a temporary folder."""
        self._stop_servers()
        self._servers = {}
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def restart(self) -> None:
        """Stop and start again: same data, same ports."""
        self._stop_servers()
        self.start()

    def stop_node(self, node: int) -> None:
        """Stop one node (1, 2, ...); `start` brings it back."""
        self._servers[node].stop()

    def _must_be_started(self) -> None:
        if not self._ports:
            raise RuntimeError("the embedded Kafka was not started: call start() first")

    def _folder(self) -> Path:
        if self._asked_folder is not None:
            self._asked_folder.mkdir(parents=True, exist_ok=True)
            return self._asked_folder
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="llm-audit-kafka-"))
        return self._temporary

    def _choose_cluster(self, folder: Path) -> str:
        """Return the cluster id and set the ports: those of the last start where they are still free."""
        file = folder / "cluster.json"
        fresh = free_ports(PORTS_PER_NODE * self._count)
        ports = {
            node + 1: NodePorts(*fresh[node * PORTS_PER_NODE : (node + 1) * PORTS_PER_NODE])
            for node in range(self._count)
        }
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if file.exists():
            kept = json.loads(file.read_text(encoding="utf-8"))
            cluster_id = kept["cluster_id"]
            last = {int(node): NodePorts(**each) for node, each in kept["nodes"].items()}
            if len(last) != self._count:
                raise EmbeddedStartError(
                    f"{folder} holds a Kafka cluster of {len(last)} nodes, and {self._count} were asked for: "
                    "ask for as many, or choose another folder"
                )
            if all(port_is_free(port) for each in last.values() for port in asdict(each).values()):
                ports = last
        self._ports = ports
        state = {"cluster_id": cluster_id, "nodes": {node: asdict(each) for node, each in ports.items()}}
        unfinished = file.with_name("cluster.json.unfinished")
        unfinished.write_text(json.dumps(state, indent=2), encoding="utf-8")
        unfinished.replace(file)
        return cluster_id

    def _write_properties(self, folder: Path) -> None:
        for node in self._ports:
            place = folder / f"node-{node}"
            place.mkdir(exist_ok=True)
            text = server_properties(
                node,
                self._ports,
                log_dir=str(place / "data"),
                client_protocol=self._client_protocol,
                extra=self._extra,
            )
            (place / "server.properties").write_text(text, encoding="utf-8")

    def _format(self, command: list[str], folder: Path, cluster_id: str) -> None:
        """Give each node's data folder its cluster id, once, as KRaft wants it before the first start."""
        new = [node for node in self._ports if not (folder / f"node-{node}" / "data").exists()]
        tool = [
            *command[:1],
            "-Xmx128m",
            *command[1:],
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster_id}",
        ]

        def format_one(node: int) -> None:
            place = folder / f"node-{node}"
            result = subprocess.run(  # noqa: S603 - the user's own java with our own arguments
                [*tool, "-c", str(place / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_FORMAT_SECONDS,
                check=False,
            )
            if result.returncode != 0:
                shutil.rmtree(place / "data", ignore_errors=True)
                raise EmbeddedStartError(f"Kafka could not format {place / 'data'}:\n{result.stdout.strip()}")

        with ThreadPoolExecutor(max_workers=self._count) as pool:
            list(pool.map(format_one, new))

    def _server(self, command: list[str], folder: Path, node: int) -> ChildProcess:
        place = folder / f"node-{node}"
        java = [
            command[0],
            f"-Xms{min(64, self._heap_megabytes)}m",
            f"-Xmx{self._heap_megabytes}m",
            "-XX:+UseG1GC",
            "-XX:+ExitOnOutOfMemoryError",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            *command[1:],
        ]
        argv = [*java, "kafka.Kafka", str(place / "server.properties")]
        return ChildProcess(argv, log=place / "server.log", cwd=place, stop_seconds=_STOP_SECONDS)

    def _wait_ready(self) -> None:
        ready = wait_ready(
            self.internal_servers,
            self._count,
            deadline_seconds=self._deadline_seconds,
            alive=lambda: self.running,
        )
        if ready:
            return
        reports = []
        for node, server in self._servers.items():
            state = "is running" if server.running else f"ended with code {server.returncode}"
            reports.append(f"node {node} {state}; its log ends:\n{server.tail()}")
        self._stop_servers()
        raise EmbeddedStartError(
            f"Kafka did not answer within {self._deadline_seconds:g} s on {self.bootstrap_servers}. "
            + "\n".join(reports)
        )

    def _stop_servers(self) -> None:
        with ThreadPoolExecutor(max_workers=self._count) as pool:
            list(pool.map(ChildProcess.stop, self._servers.values()))
