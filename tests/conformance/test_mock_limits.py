"""Where the mock broker differs from the real one, shown on both; `LIMITS` names these and more."""

import uuid

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # confluent_kafka.admin has it too, but its types do not say so

from tests.parts.messages import DEADLINE_SECONDS, consume_count, new_consumer, new_producer, produce_all
from tests.parts.servers import KafkaUnderTest

# What the mock keeps of a partition: 5 MiB (librdkafka, src/rdkafka_mock.c, max_size).
MOCK_PARTITION_BYTES = 5 * 1024 * 1024


def test_only_the_real_broker_creates_topics(broker: KafkaUnderTest) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    name = f"created-{uuid.uuid4().hex[:8]}"
    created = admin.create_topics([NewTopic(name, num_partitions=2)], request_timeout=2.0)[name]

    if not broker.is_real:
        with pytest.raises(KafkaException) as refused:
            created.result(DEADLINE_SECONDS)
        assert refused.value.args[0].code() == KafkaError._TIMED_OUT
        return
    created.result(DEADLINE_SECONDS)
    assert len(admin.list_topics(name, timeout=DEADLINE_SECONDS).topics[name].partitions) == 2
    with pytest.raises(KafkaException) as again:
        admin.create_topics([NewTopic(name, num_partitions=2)])[name].result(DEADLINE_SECONDS)
    assert again.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    admin.delete_topics([name])[name].result(DEADLINE_SECONDS)


def test_only_the_real_broker_knows_topic_ids(broker: KafkaUnderTest, four_partitions: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    wanted = TopicCollection([four_partitions])
    described = admin.describe_topics(wanted, request_timeout=2.0)[four_partitions]

    if broker.is_real:
        topic_id = described.result(DEADLINE_SECONDS).topic_id
        assert (topic_id.get_most_significant_bits(), topic_id.get_least_significant_bits()) != (0, 0)
        return
    with pytest.raises(KafkaException) as refused:
        described.result(DEADLINE_SECONDS)
    assert refused.value.args[0].code() == KafkaError._TIMED_OUT


def test_only_the_real_broker_lists_groups(broker: KafkaUnderTest, four_partitions: str) -> None:
    produce_all(new_producer(broker.bootstrap_servers), four_partitions, [(0, b"x")])
    group = f"group-{uuid.uuid4().hex[:8]}"
    with new_consumer(broker.bootstrap_servers, group) as consumer:
        consumer.subscribe([four_partitions])
        consume_count(consumer, 1)
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        listed = admin.list_consumer_groups(request_timeout=DEADLINE_SECONDS).result(DEADLINE_SECONDS)

    assert (group in {each.group_id for each in listed.valid}) is broker.is_real


def test_only_the_real_broker_keeps_a_partition_over_5_mib(
    broker: KafkaUnderTest, four_partitions: str
) -> None:
    producer = new_producer(broker.bootstrap_servers, compression_type="none")
    size, count = 64 * 1024, 2 * MOCK_PARTITION_BYTES // (64 * 1024)
    produce_all(producer, four_partitions, [(0, bytes(size))] * count)

    with new_consumer(broker.bootstrap_servers, "watermarks") as consumer:
        partition = TopicPartition(four_partitions, 0)
        low, high = consumer.get_watermark_offsets(partition, timeout=DEADLINE_SECONDS)

    assert high == count
    assert (low == 0) is broker.is_real
