"""How much is kept of content: by the producer's setting, by a call that asks for less, by the retention class."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from typing import Any

import pytest

from llm_audit_consumer.content.decoding import decode
from llm_audit_producer import AuditLogger, AuditSettingsError
from llm_audit_producer.content import CONTENT_MODES, effective_mode, least
from llm_audit_producer.content.sealing import ContentForms, Sealer
from llm_audit_producer.content.sink import ContentSink
from llm_audit_producer.sinks.memory import MemorySink
from llm_audit_schemas import EntryCodec, HashKey
from llm_audit_schemas.content import ContentKey
from llm_audit_schemas.content_codec import ContentCodec
from llm_audit_schemas.errors import InvalidContentKeyError
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.consumer.entries import message_of, new_entry
from tests.content.test_planted_secrets import messages_of
from tests.content.trail import DEADLINE_SECONDS, PRIVATE_KEY, PUBLIC_KEY, forms_of
from tests.parts.messages import consume_count, new_consumer
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker

KEY = HashKey("k1", b"1" * 32)
NOWHERE = KafkaConnection(bootstrap_servers="127.0.0.1:1")


def mode_of(wanted: str | None, **facts: Any) -> str:
    given = {"has_hash_key": True, "retention_class": "standard", "has_content_topic": True, **facts}
    return effective_mode(wanted, **given)[0]


def test_less_is_always_possible_and_more_never() -> None:
    for one, other in itertools.product(CONTENT_MODES, repeat=2):
        assert least(one, other) == CONTENT_MODES[min(map(CONTENT_MODES.index, (one, other)))]
    assert least(None, "hash") == least("hash", None) == "hash"


def test_the_mode_is_what_was_asked_for_where_it_can_be() -> None:
    assert [mode_of(each) for each in CONTENT_MODES] == list(CONTENT_MODES)
    assert mode_of(None) == "hash"
    assert mode_of(None, has_hash_key=False) == "none"
    assert mode_of("hash", has_hash_key=False) == "none"
    assert mode_of("encrypted", has_hash_key=False) == "encrypted"
    assert mode_of("encrypted", retention_class="hipaa") == "hash"
    assert mode_of("encrypted", retention_class="hipaa", has_hash_key=False) == "none"
    assert mode_of("encrypted", has_content_topic=False) == "hash"


def record(bootstrap_servers: str, make_topic: TopicMaker, **settings: Any) -> tuple[AuditLogger, str, str]:
    entries, content = make_topic(partitions=1), make_topic(partitions=1)
    audit = AuditLogger(
        kafka=KafkaConnection(bootstrap_servers=bootstrap_servers),
        topic=entries,
        content_topic=content,
        **{"content_mode": "encrypted", "content_public_key": PUBLIC_KEY, **settings},
    )
    return audit, entries, content


def entries_of(bootstrap_servers: str, topic: str, count: int) -> list[Any]:
    consumer = new_consumer(bootstrap_servers, f"look-{topic}")
    try:
        consumer.subscribe([topic])
        return [EntryCodec().decode(each.value()) for each in consume_count(consumer, count)]
    finally:
        consumer.close()


def test_a_call_may_ask_for_less_by_its_context_or_its_argument(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker
) -> None:
    audit, entries, content = record(kafka_broker.bootstrap_servers, make_topic, hash_key=KEY)
    said: dict[str, Any] = {"model": "m", "input_text": "question", "output_text": "answer"}
    audit.log_request(user_id="ada", **said)
    with audit.context(user_id="ada", content_mode="hash"):
        audit.log_request(**said)
        with audit.context(content_mode="encrypted"):
            audit.log_request(**said)
    audit.log_request(user_id="ada", content_mode="none", **said)
    audit.log_request(user_id="ada", content_mode="slip of the pen", **said)
    assert audit.close(DEADLINE_SECONDS) == 0
    found = entries_of(kafka_broker.bootstrap_servers, entries, 5)
    assert [each.content_mode for each in found] == ["encrypted", "hash", "hash", "none", "none"]
    assert [each.input_hash is not None for each in found] == [True, True, True, False, False]
    assert len(messages_of(kafka_broker.bootstrap_servers, content)) == 2


def test_under_hipaa_the_producer_refuses_content_loudly(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "llm_audit_producer"):
        audit, entries, content = record(
            kafka_broker.bootstrap_servers, make_topic, hash_key=KEY, retention_class="hipaa"
        )
    assert "never stores content" in caplog.text
    audit.log_request(user_id="ada", model="m", input_text="a diagnosis", output_text="advice")
    assert audit.close(DEADLINE_SECONDS) == 0
    (entry,) = entries_of(kafka_broker.bootstrap_servers, entries, 1)
    assert entry.content_mode == "hash"
    assert messages_of(kafka_broker.bootstrap_servers, content) == []


def test_encrypted_without_a_hash_key_keeps_content_and_sizes_but_no_hash(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker
) -> None:
    audit, entries, content = record(
        kafka_broker.bootstrap_servers, make_topic, hash_key=None, content_bytes=100
    )
    audit.log_request(user_id="ada", model="m", input_text="q" * 500, output_text="answer")
    assert audit.close(DEADLINE_SECONDS) == 0
    (entry,) = entries_of(kafka_broker.bootstrap_servers, entries, 1)
    assert (entry.content_mode, entry.input_hash, entry.hash_key_id) == ("encrypted", None, None)
    assert entry.input_bytes > 500
    assert entry.truncated
    assert entry.details["truncated"] == ["input"]
    assert len(messages_of(kafka_broker.bootstrap_servers, content)) == 2


def test_another_storage_keeps_no_content_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    with caplog.at_level(logging.ERROR, "llm_audit_producer"):
        audit = AuditLogger(sink, content_mode="encrypted", content_public_key=PUBLIC_KEY, hash_key=KEY)
    assert "another storage" in caplog.text
    audit.log_request(user_id="ada", model="m", input_text="q", output_text="a")
    audit.close()
    assert [each.content_mode for each in sink.entries] == ["hash"]


def test_a_key_that_cannot_be_used_is_refused_at_the_start() -> None:
    with pytest.raises(AuditSettingsError, match="no key is set to seal to"):
        AuditLogger(content_mode="encrypted", kafka=NOWHERE)
    with pytest.raises(AuditSettingsError, match="content_mode is 'all'"):
        AuditLogger(content_mode="all", kafka=NOWHERE)
    with pytest.raises(AuditSettingsError, match="no X25519 public key"):
        Sealer(ContentKey("zero", bytes(32)), 1000)
    for text in ("no colon", "name:", "name:AAAA", "bad name:" + "A" * 44, "name:%%%"):
        with pytest.raises(InvalidContentKeyError) as refused:
            ContentKey.parse(text)
        assert "AAAA" not in str(refused.value)


def test_what_the_queue_cannot_hold_is_counted_and_said_and_nobody_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = ContentSink(NOWHERE, "content", Sealer(PUBLIC_KEY, 1000), queue_bytes=1000, drain_seconds=0)
    with caplog.at_level(logging.ERROR, "llm_audit_producer"):
        for _ in range(3):
            sink.seal_and_publish(new_entry(), forms_of("secret " * 1000, "secret"))
        sink.seal_and_publish(new_entry(), forms_of("short", "short"))
    assert sink.statistics().lost == {"queue_full": 6}
    assert "content was lost (queue_full" in caplog.text
    assert "secret" not in caplog.text
    assert sink.close(0) == 2
    assert sink.statistics().lost == {"queue_full": 6, "not_drained": 2}
    sink.seal_and_publish(new_entry(), forms_of("late", "late"))
    assert sink.statistics().lost["closed"] == 2
    assert sink.statistics().waiting == 0


def test_sealing_happens_on_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    seal = Sealer.seal

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return seal(*arguments)

    monkeypatch.setattr(Sealer, "seal", noted)
    sink = ContentSink(NOWHERE, "content", Sealer(PUBLIC_KEY, 1000), drain_seconds=0)
    sink.seal_and_publish(new_entry(), forms_of("a", "b"))
    sink.flush(1)
    sink.close(0)
    assert threads == ["llm-audit-content", "llm-audit-content"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_publishes_with_a_client_of_its_own(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker
) -> None:
    topic = make_topic(partitions=1)
    sink = ContentSink(
        KafkaConnection(bootstrap_servers=kafka_broker.bootstrap_servers), topic, Sealer(PUBLIC_KEY, 1000)
    )
    sink.seal_and_publish(new_entry(), forms_of("parent", "parent"))
    assert sink.flush(DEADLINE_SECONDS) == 0
    child = os.fork()
    if child == 0:
        sink.seal_and_publish(new_entry(), forms_of("child", "child"))
        left = sink.close(DEADLINE_SECONDS)
        os._exit(0 if left == 0 and sink.statistics().taken == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert sink.close(DEADLINE_SECONDS) == 0
    assert len(messages_of(kafka_broker.bootstrap_servers, topic)) == 4


def test_what_is_not_sealed_is_never_taken_for_content() -> None:
    codec = ContentCodec()
    sealed = Sealer(PUBLIC_KEY, 1000).seal(new_entry(), "input", b"n;")
    values = {name: getattr(sealed, name) for name in type(sealed).__slots__}
    for change in (
        {"sealed": None},
        {"sealing": "none/1"},
        {"recipient_key_id": None},
        {"sealed": b"plain text"},
    ):
        value = codec.encode(type(sealed)(**{**values, **change}))
        decoded = decode([message_of(value)], codec)
        assert not decoded.contents, change
        assert [letter.message.value for letter in decoded.dead_letters] == [None]
    assert decode([message_of(codec.encode(sealed))], codec).contents == [sealed]


def test_nothing_is_sealed_where_there_is_nothing() -> None:
    assert list(ContentForms(None, None).parts()) == []


def test_keys_do_not_print_themselves() -> None:
    assert repr(PRIVATE_KEY) == "ContentKey(key_id='test-2026')"
