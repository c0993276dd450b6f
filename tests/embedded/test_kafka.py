import contextlib
import os
import signal
import uuid
from pathlib import Path

import pytest

from llm_audit_consumer.embedded import EmbeddedKafka, EmbeddedStartError
from tests.parts.messages import consume_count, new_consumer, new_producer, produce_all
from tests.parts.processes import is_alive, parent, wait_gone
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker

pytestmark = pytest.mark.usefixtures("real_kafka_possible")

START_AND_WAIT = """
from pathlib import Path
from llm_audit_consumer.embedded import EmbeddedKafka
kafka = EmbeddedKafka(Path({folder!r}))
kafka.start()
print(*kafka.pids, flush=True)
input()
"""


def read_values(bootstrap_servers: str, topic: str, count: int) -> list[bytes | str | None]:
    consumer = new_consumer(bootstrap_servers, f"group-{uuid.uuid4().hex[:8]}")
    consumer.subscribe([topic])
    with consumer:
        return [message.value() for message in consume_count(consumer, count)]


def test_messages_and_address_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kafka") as kafka:
        address = kafka.bootstrap_servers
        topic = TopicMaker(address, can_create=True)(partitions=1)
        produce_all(new_producer(address), topic, [(0, b"first")])
        pid = kafka.pids[0]
    assert not is_alive(pid)

    with EmbeddedKafka(tmp_path / "kafka") as again:
        assert again.bootstrap_servers == address
        produce_all(new_producer(address), topic, [(0, b"second")])
        os.kill(again.pids[0], signal.SIGKILL)
        wait_gone(again.pids[0])
        again.restart()
        assert again.bootstrap_servers == address
        assert read_values(address, topic, 2) == [b"first", b"second"]


def test_a_killed_parent_leaves_no_server(tmp_path: Path) -> None:
    with parent(START_AND_WAIT.format(folder=str(tmp_path))) as (process, (pid,)):
        process.kill()
        wait_gone(pid)


def test_three_nodes_replicate_and_work_with_one_down() -> None:
    with EmbeddedKafka(nodes=3, heap_megabytes=256) as kafka:
        topic = TopicMaker(kafka.bootstrap_servers, can_create=True)(partitions=1)
        kafka.stop_node(2)
        produce_all(new_producer(kafka.bootstrap_servers), topic, [(0, b"with two nodes")])
        with new_consumer(kafka.bootstrap_servers, "metadata") as consumer:
            (partition,) = consumer.list_topics(topic, timeout=10).topics[topic].partitions.values()

    assert sorted(partition.replicas) == [1, 2, 3]
    assert sorted(partition.isrs) == [1, 3]


def test_a_server_that_will_not_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedStartError, match="Error occurred during initialization of VM"):
        EmbeddedKafka(tmp_path, heap_megabytes=1).start()


def test_a_wrong_server_property_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedStartError, match=r"num\.io\.threads"):
        EmbeddedKafka(tmp_path, extra_properties={"num.io.threads": "many"}).start()


def test_another_number_of_nodes_is_refused_for_an_old_folder(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"cluster_id": "x", "nodes": {}}', encoding="utf-8")

    with pytest.raises(EmbeddedStartError, match="a Kafka cluster of 0 nodes, and 1 were asked for"):
        EmbeddedKafka(tmp_path).start()


def test_the_shared_broker_listens_on_loopback_only(kafka_broker: KafkaUnderTest) -> None:
    if kafka_broker.embedded is None:
        pytest.skip("the broker under test is not ours to look into")
    sockets = _socket_inodes(kafka_broker.embedded.pids[0])
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
    ]
    listening = {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}
    # 127.0.0.1, and the same as Java's dual-stack sockets show it, in the kernel's byte order.
    assert listening <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert listening


def _socket_inodes(pid: int) -> set[str]:
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since the folder was listed
            inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    return inodes
