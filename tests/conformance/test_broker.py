"""What we use of Kafka works the same on the mock broker and on the real one."""

import uuid

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tests.parts.messages import (
    DEADLINE_SECONDS,
    consume_count,
    new_consumer,
    new_producer,
    produce_all,
    wait_until,
)
from tests.parts.servers import KafkaUnderTest

ALL_PARTITIONS = {0, 1, 2, 3}


def new_group() -> str:
    return f"group-{uuid.uuid4().hex[:8]}"


def partitions_of(consumer: Consumer) -> set[int]:
    return {each.partition for each in consumer.assignment()}


def test_delivery_reports_name_every_message_once(broker: KafkaUnderTest, four_partitions: str) -> None:
    producer = new_producer(broker.bootstrap_servers)
    sent = [(number % 4, b"value-%d" % number) for number in range(400)]

    reports = produce_all(producer, four_partitions, sent)

    places = {(report.partition(), report.offset()) for report in reports}
    assert places == {(partition, offset) for partition in ALL_PARTITIONS for offset in range(100)}


def test_a_message_comes_back_whole_and_in_its_partitions_order(
    broker: KafkaUnderTest, four_partitions: str
) -> None:
    producer = new_producer(broker.bootstrap_servers)
    timestamp = 1_700_000_000_123
    for number in range(50):
        producer.produce(
            four_partitions,
            b"\x00value \xff%d" % number,
            key=b"producer-1",
            headers=[("request-id", b"\x00\x01\xfe"), ("again", b"1"), ("again", b"2")],
            timestamp=timestamp + number,
        )
    assert producer.flush(DEADLINE_SECONDS) == 0

    consumer = new_consumer(broker.bootstrap_servers, new_group())
    consumer.subscribe([four_partitions])
    with consumer:
        messages = consume_count(consumer, 50)

    assert [message.value() for message in messages] == [b"\x00value \xff%d" % n for n in range(50)]
    assert {message.key() for message in messages} == {b"producer-1"}
    assert len({message.partition() for message in messages}) == 1, "one key must mean one partition"
    assert [message.offset() for message in messages] == list(range(50))
    assert messages[0].headers() == [("request-id", b"\x00\x01\xfe"), ("again", b"1"), ("again", b"2")]
    assert messages[3].timestamp()[1] == timestamp + 3


def test_a_message_over_the_producers_limit_is_refused_at_once(
    broker: KafkaUnderTest, four_partitions: str
) -> None:
    producer = new_producer(broker.bootstrap_servers, message_max_bytes=10_000)

    with pytest.raises(KafkaException) as refused:
        producer.produce(four_partitions, b"x" * 20_000)

    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_watermarks_tell_first_and_next_offset(broker: KafkaUnderTest, four_partitions: str) -> None:
    produce_all(new_producer(broker.bootstrap_servers), four_partitions, [(2, b"x")] * 7)

    consumer = new_consumer(broker.bootstrap_servers, new_group())
    with consumer:
        filled = consumer.get_watermark_offsets(TopicPartition(four_partitions, 2), timeout=DEADLINE_SECONDS)
        empty = consumer.get_watermark_offsets(TopicPartition(four_partitions, 3), timeout=DEADLINE_SECONDS)

    assert filled == (0, 7)
    assert empty == (0, 0)


def test_a_group_resumes_after_its_committed_offset(broker: KafkaUnderTest, four_partitions: str) -> None:
    produce_all(new_producer(broker.bootstrap_servers), four_partitions, [(0, b"%d" % n) for n in range(10)])
    group = new_group()

    first = new_consumer(broker.bootstrap_servers, group)
    first.subscribe([four_partitions])
    with first:
        consume_count(first, 10)
        first.commit(offsets=[TopicPartition(four_partitions, 0, 6)], asynchronous=False)
        (committed,) = first.committed([TopicPartition(four_partitions, 0)], timeout=DEADLINE_SECONDS)
    second = new_consumer(broker.bootstrap_servers, group)
    second.subscribe([four_partitions])
    with second:
        resumed = consume_count(second, 4)

    assert committed.offset == 6
    assert [message.value() for message in resumed] == [b"6", b"7", b"8", b"9"]


def test_assign_starts_at_the_offset_it_is_given(broker: KafkaUnderTest, four_partitions: str) -> None:
    produce_all(new_producer(broker.bootstrap_servers), four_partitions, [(1, b"%d" % n) for n in range(10)])

    consumer = new_consumer(broker.bootstrap_servers, new_group())
    with consumer:
        consumer.assign([TopicPartition(four_partitions, 1, 8)])
        messages = consume_count(consumer, 2)

    assert [message.offset() for message in messages] == [8, 9]


def test_a_subscriber_may_choose_its_offsets_when_partitions_are_assigned(
    broker: KafkaUnderTest, four_partitions: str
) -> None:
    produce_all(new_producer(broker.bootstrap_servers), four_partitions, [(0, b"%d" % n) for n in range(10)])

    def start_at_seven(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            each.offset = 7 if each.partition == 0 else 0
        consumer.assign(partitions)

    consumer = new_consumer(broker.bootstrap_servers, new_group())
    consumer.subscribe([four_partitions], on_assign=start_at_seven)
    with consumer:
        messages = consume_count(consumer, 3)

    assert [message.offset() for message in messages] == [7, 8, 9]


def test_two_members_share_the_partitions_and_one_takes_over(
    broker: KafkaUnderTest, four_partitions: str
) -> None:
    group = new_group()
    with new_consumer(broker.bootstrap_servers, group) as staying:
        staying.subscribe([four_partitions])
        with new_consumer(broker.bootstrap_servers, group) as leaving:
            leaving.subscribe([four_partitions])

            def shared() -> bool:
                staying.poll(0.1)
                leaving.poll(0.1)
                return len(partitions_of(staying)) == len(partitions_of(leaving)) == 2

            wait_until(shared, "two partitions each")
            assert partitions_of(staying) | partitions_of(leaving) == ALL_PARTITIONS

        def took_over() -> bool:
            staying.poll(0.1)
            return partitions_of(staying) == ALL_PARTITIONS

        wait_until(took_over, "the member that stayed to own every partition")


def test_a_paused_partition_gives_nothing_until_it_is_resumed(
    broker: KafkaUnderTest, four_partitions: str
) -> None:
    paused, open_ = TopicPartition(four_partitions, 0, 0), TopicPartition(four_partitions, 1, 0)
    with new_consumer(broker.bootstrap_servers, new_group()) as consumer:
        consumer.assign([paused, open_])
        consumer.pause([paused])
        messages = [(0, b"held back"), (1, b"through")]
        produce_all(new_producer(broker.bootstrap_servers), four_partitions, messages)

        while_paused = consume_count(consumer, 1)
        assert consumer.poll(0.5) is None
        consumer.resume([paused])
        after = consume_count(consumer, 1)

    assert [message.value() for message in while_paused + after] == [b"through", b"held back"]


def test_a_delivery_that_can_never_happen_is_reported_as_failed(
    broker: KafkaUnderTest, four_partitions: str
) -> None:
    errors: list[KafkaError | None] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        errors.append(error)

    producer: Producer = new_producer(broker.bootstrap_servers, message_timeout_ms=1000)
    producer.produce(four_partitions, b"to nowhere", partition=77, on_delivery=report)

    assert producer.flush(DEADLINE_SECONDS) == 0
    assert len(errors) == 1
    assert errors[0] is not None
