"""What can be set about a producer: by argument, or by environment variable, read when a producer is made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from llm_audit_producer.content.modes import CONTENT_MODES
from llm_audit_producer.errors import AuditSettingsError
from llm_audit_schemas import HashKey, InvalidHashKeyError, topics
from llm_audit_schemas.content import ContentKey
from llm_audit_schemas.errors import ContractError, InvalidContentKeyError
from llm_audit_schemas.kafka_connection import KafkaConnection

DURABILITIES = ("memory", "spool", "strict")
"""The promises that a producer can give: see ``ProducerSettings``."""

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSettings:
    """Everything that can be set about a producer; the README's table has each with its variable.

    Raises:
        AuditSettingsError: a value cannot be used; the message names the setting and what it takes.

    Attributes:
        enabled: The one switch: false turns auditing off, and says so.
        service: Name of this service, in every entry.
        environment: Deployment environment, in every entry.
        require_user: Refuse calls for which nobody is named, instead of recording them as unattributed.
        retention_class: Retention policy the entries fall under.
        hash_key: Key of the content hashes; without one nothing is kept of the content.
        kafka: How to reach the cluster.
        topic: Topic of the entries.
        schema_registry: Address of a Confluent Schema Registry; the package's fixed schema id when not given.
        price_overrides: File of negotiated prices.
        queue_entries: Most calls that may wait for delivery.
        queue_bytes: Most memory, in bytes, that waiting calls may hold.
        metadata_bytes: Largest metadata, in bytes of JSON, that an entry carries.
        drain_seconds: How long the end of the process may wait for delivery.
        durability: ``memory``: entries wait in memory, and die with the process. ``spool``: once a call has returned,
            its entry is on this machine's disk. ``strict``: a result is given only once the entry is on disk (where a
            spool directory is set) or delivered; else the caller gets ``AuditUnavailable``.
        spool_directory: Where spools lie, for all processes of this user; the user's state directory when not given.
        spool_bytes: Most that all spools there may hold; when they are full, new entries are lost, and old ones kept.
        spool_fsync: Wait for the disk at each entry, so that it outlives also the machine.
        strict_seconds: How long a strict producer waits for an entry to be safe.
        markers_topic: Topic of the producer's word on its own life.
        heartbeat_seconds: Time between two such words.
        content_mode: How much is kept of content: ``none``, ``hash`` or ``encrypted``; ``hash`` where a hash key is set
            and ``none`` where not, when not given.
        content_public_key: Key that encrypted content is sealed to.
        content_topic: Topic of encrypted content.
        content_bytes: Most bytes of an input or output that are kept encrypted; what is more is cut off.
    """

    enabled: bool = True
    service: str | None = None
    environment: str | None = None
    require_user: bool = False
    retention_class: str = "standard"
    hash_key: HashKey | None = None
    kafka: KafkaConnection = field(default_factory=KafkaConnection)
    topic: str = topics.ENTRIES
    schema_registry: str | None = field(default=None, repr=False)
    price_overrides: str | Path | None = None
    queue_entries: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    metadata_bytes: int = 16 * 1024
    drain_seconds: float = 5.0
    durability: str = "memory"
    spool_directory: str | Path | None = None
    spool_bytes: int = 1024 * 1024 * 1024
    spool_fsync: bool = False
    strict_seconds: float = 5.0
    markers_topic: str = topics.MARKERS
    heartbeat_seconds: float = 15.0
    content_mode: str | None = None
    content_public_key: ContentKey | None = None
    content_topic: str = topics.CONTENT
    content_bytes: int = 768 * 1024

    def __post_init__(self) -> None:
        for name, (fits, wanted) in _FITTING.items():
            value = getattr(self, name)
            if not fits(value):
                raise AuditSettingsError(f"the setting {name} is {value!r}; use {wanted}")
        if not isinstance(self.kafka, KafkaConnection):
            raise AuditSettingsError(
                f"the setting kafka is a {type(self.kafka).__name__}; use a KafkaConnection"
            )
        if not isinstance(self.hash_key, HashKey | None):
            raise AuditSettingsError(
                f"the setting hash_key is a {type(self.hash_key).__name__}; use a HashKey"
            )
        if not isinstance(self.content_public_key, ContentKey | None):
            raise AuditSettingsError(
                f"the setting content_public_key is a {type(self.content_public_key).__name__}; use a ContentKey"
            )
        if self.content_mode == "encrypted" and self.content_public_key is None:
            raise AuditSettingsError(
                "content_mode is 'encrypted' and no key is set to seal to; set LLM_AUDIT_CONTENT_PUBLIC_KEY_FILE "
                "to the public file of: llm-audit content keygen NAME"
            )

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], /, **overrides: Any) -> ProducerSettings:
        """Settings from ``LLM_AUDIT_*`` variables, with ``overrides`` laid over them.

        Raises:
            AuditSettingsError: a variable has a value that cannot be used, or an override's name is unknown.
        """
        names = {item.name for item in fields(cls)}
        if unknown := sorted(set(overrides) - names):
            raise AuditSettingsError(
                f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(names))}"
            )
        given: dict[str, Any] = {}
        for name, (variable, read) in VARIABLES.items():
            text = variables.get(variable)
            if text and name not in overrides:
                given[name] = _read(variable, text, read)
        try:
            if "kafka" not in overrides:
                given["kafka"] = KafkaConnection.from_environment(variables)
            if "hash_key" not in overrides:
                given["hash_key"] = _hash_key(variables)
            elif isinstance(overrides["hash_key"], str):
                overrides["hash_key"] = HashKey.parse(overrides["hash_key"])
            if "content_public_key" not in overrides:
                given["content_public_key"] = _content_public_key(variables)
            elif isinstance(overrides["content_public_key"], str):
                overrides["content_public_key"] = ContentKey.parse(overrides["content_public_key"])
        except ContractError as error:
            raise AuditSettingsError(str(error)) from error
        return cls(**given, **overrides)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("use 1 or 0")


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < _LONGEST_NUMBER and int(text) > 0):
        raise ValueError("use a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not _is_seconds(number):
        raise ValueError("use a number of seconds, 0 or more")
    return number


def _is_seconds(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= threading.TIMEOUT_MAX
    )


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_path_or_none(value: object) -> bool:
    return isinstance(value, str | Path | None)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


_LONGEST_NUMBER = 20
_COUNT = (_is_positive, "a whole number above 0")
_SECONDS = (_is_seconds, "a number of seconds, 0 or more")
_PATH = (_is_path_or_none, "a path")
_FITTING: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "enabled": (lambda value: isinstance(value, bool), "True or False"),
    "require_user": (lambda value: isinstance(value, bool), "True or False"),
    "service": (_is_text_or_none, "text"),
    "environment": (_is_text_or_none, "text"),
    "retention_class": (_is_text, "text"),
    "topic": (_is_text, "the name of a topic"),
    "price_overrides": _PATH,
    "queue_entries": _COUNT,
    "queue_bytes": _COUNT,
    "metadata_bytes": _COUNT,
    "drain_seconds": _SECONDS,
    "durability": (lambda value: value in DURABILITIES, "one of " + ", ".join(DURABILITIES)),
    "spool_directory": _PATH,
    "spool_bytes": _COUNT,
    "spool_fsync": (lambda value: isinstance(value, bool), "True or False"),
    "strict_seconds": _SECONDS,
    "markers_topic": (_is_text, "the name of a topic"),
    "heartbeat_seconds": _SECONDS,
    "content_mode": (
        lambda value: value is None or value in CONTENT_MODES,
        "one of " + ", ".join(CONTENT_MODES),
    ),
    "content_topic": (_is_text, "the name of a topic"),
    "content_bytes": _COUNT,
}
"""What each plain setting takes, however it was given."""


VARIABLES: Mapping[str, tuple[str, Any]] = {
    "enabled": ("LLM_AUDIT_ENABLED", _boolean),
    "service": ("LLM_AUDIT_SERVICE", str),
    "environment": ("LLM_AUDIT_ENVIRONMENT", str),
    "require_user": ("LLM_AUDIT_REQUIRE_USER", _boolean),
    "retention_class": ("LLM_AUDIT_RETENTION_CLASS", str),
    "topic": ("LLM_AUDIT_TOPIC", str),
    "schema_registry": ("LLM_AUDIT_SCHEMA_REGISTRY", str),
    "price_overrides": ("LLM_AUDIT_PRICE_OVERRIDES", Path),
    "queue_entries": ("LLM_AUDIT_QUEUE_ENTRIES", _positive),
    "queue_bytes": ("LLM_AUDIT_QUEUE_BYTES", _positive),
    "metadata_bytes": ("LLM_AUDIT_METADATA_BYTES", _positive),
    "drain_seconds": ("LLM_AUDIT_DRAIN_SECONDS", _seconds),
    "durability": ("LLM_AUDIT_DURABILITY", str),
    "spool_directory": ("LLM_AUDIT_SPOOL_DIRECTORY", Path),
    "spool_bytes": ("LLM_AUDIT_SPOOL_BYTES", _positive),
    "spool_fsync": ("LLM_AUDIT_SPOOL_FSYNC", _boolean),
    "strict_seconds": ("LLM_AUDIT_STRICT_SECONDS", _seconds),
    "markers_topic": ("LLM_AUDIT_MARKERS_TOPIC", str),
    "heartbeat_seconds": ("LLM_AUDIT_HEARTBEAT_SECONDS", _seconds),
    "content_mode": ("LLM_AUDIT_CONTENT_MODE", str),
    "content_topic": ("LLM_AUDIT_CONTENT_TOPIC", str),
    "content_bytes": ("LLM_AUDIT_CONTENT_BYTES", _positive),
}
"""Environment variable of each plain setting, and how its text is read. The keys and Kafka have their own."""


def _read(variable: str, text: str, read: Any) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise AuditSettingsError(f"{variable} is {text!r}: {error}") from error


def _hash_key(variables: Mapping[str, str]) -> HashKey | None:
    """The key from ``LLM_AUDIT_HASH_KEY``, or from the file ``LLM_AUDIT_HASH_KEY_FILE`` names."""
    if text := variables.get("LLM_AUDIT_HASH_KEY"):
        return HashKey.parse(text)
    path = variables.get("LLM_AUDIT_HASH_KEY_FILE")
    if not path:
        return None
    try:
        return HashKey.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidHashKeyError(f"LLM_AUDIT_HASH_KEY_FILE {path!r} cannot be read: {error}") from error


def _content_public_key(variables: Mapping[str, str]) -> ContentKey | None:
    """The key from ``LLM_AUDIT_CONTENT_PUBLIC_KEY``, or from the file ``LLM_AUDIT_CONTENT_PUBLIC_KEY_FILE`` names."""
    if text := variables.get("LLM_AUDIT_CONTENT_PUBLIC_KEY"):
        return ContentKey.parse(text)
    path = variables.get("LLM_AUDIT_CONTENT_PUBLIC_KEY_FILE")
    if not path:
        return None
    try:
        return ContentKey.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidContentKeyError(
            f"LLM_AUDIT_CONTENT_PUBLIC_KEY_FILE {path!r} cannot be read: {error}"
        ) from error
