"""From messages to content: each becomes content to store, content to drop, or a dead letter without its body. Pure.

A dead letter of this topic keeps no body. It would be a copy of somebody's content that no erasure finds, for nobody
can tell whose it is; the message itself stays on its topic for as long as that keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from llm_audit_consumer.batch import DeadLetter, Message
from llm_audit_schemas import UndecodableMessageError
from llm_audit_schemas.content import NOT_SEALED, OVERHEAD_BYTES, AuditContent
from llm_audit_schemas.content_codec import ContentCodec

NO_CONTENT_CLASSES = frozenset({"hipaa"})
"""Retention classes under which content is never stored, whoever sent it."""

_INTEGER = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class DecodedContent:
    """What the messages of a batch came to.

    Attributes:
        contents: What is to be stored.
        dead_letters: What cannot be read, each without its body.
        refused: How many parts were dropped because their retention class stores no content.
    """

    contents: Sequence[AuditContent]
    dead_letters: Sequence[DeadLetter]
    refused: int


def decode(messages: Sequence[Message], codec: ContentCodec) -> DecodedContent:
    """Decode messages of the content topic."""
    contents: list[AuditContent] = []
    dead_letters: list[DeadLetter] = []
    refused = 0
    for message in messages:
        try:
            content = codec.decode(message.value)
            _check(message, content)
        except UndecodableMessageError as error:
            dead_letters.append(DeadLetter(message._replace(value=None), error.reason, _detail(error)))
            continue
        if content.retention_class in NO_CONTENT_CLASSES:
            refused += 1
        else:
            contents.append(content)
    return DecodedContent(contents, dead_letters, refused)


def _check(message: Message, content: AuditContent) -> None:
    """Hold content against its header and against what PostgreSQL stores.

    Raises:
        UndecodableMessageError: it does not fit.
    """
    if message.identity is not None and message.identity != UUID(content.request_id).bytes:
        raise UndecodableMessageError("identity_mismatch", "the header names another request than the record")
    if content.sealed is None and content.sealing != NOT_SEALED:
        raise UndecodableMessageError("invalid_entry", "there is no ciphertext")
    if content.sealed is not None and (
        content.sealing == NOT_SEALED
        or content.recipient_key_id is None
        or len(content.sealed) < OVERHEAD_BYTES
    ):
        raise UndecodableMessageError("invalid_entry", "content that is not sealed is not stored")
    if content.canonical_form not in _INTEGER:
        raise UndecodableMessageError("invalid_entry", "canonical_form does not fit 32 bits")
    texts = (content.sealing, content.recipient_key_id or "", content.retention_class)
    if any("\x00" in text for text in texts):
        raise UndecodableMessageError("invalid_entry", "a text holds a zero byte")


def _detail(error: UndecodableMessageError) -> str:
    return f"{error}; its body is not kept here, but on its topic for as long as that keeps it"
