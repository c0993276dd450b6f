"""Sealed content: what travels on the content topic, the keys it is sealed to, and what binds it to its request.

No cryptography happens here: producer and consumer each bring their half, and share what is said here.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from llm_audit_schemas import canonical
from llm_audit_schemas.errors import InvalidContentKeyError, InvalidEntryError

SEALING: Final = "hpke-x25519-hkdf-sha256-aes256gcm/1"
"""How content is sealed: RFC 9180 in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""

NOT_SEALED: Final = "none/1"
"""The sealing of a record without ciphertext, which only says that there was content and how much."""

PARTS: Final = ("input", "output")
COMPRESSIONS: Final = ("none", "deflate")

KEY_BYTES: Final = 32
"""Length of an X25519 key, public or private (RFC 7748)."""

OVERHEAD_BYTES: Final = 48
"""What sealing adds: the encapsulated key (32) and AES-GCM's tag (16)."""

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTEXT = b"llm-audit/content/1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditContent:
    """One part of one call's content; meanings are the docs of ``audit_content.v1.avsc``.

    Raises:
        InvalidEntryError: the part or the compression is unknown.
    """

    request_id: str
    timestamp: datetime
    user_id: str
    part: str
    sealing: str
    canonical_form: int
    plain_bytes: int
    tenant: str | None = None
    retention_class: str = "standard"
    sealed: bytes | None = field(default=None, repr=False)
    recipient_key_id: str | None = None
    compression: str = "none"
    truncated: bool = False

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise InvalidEntryError(f"part {self.part!r} is unknown; the parts are {', '.join(PARTS)}")
        if self.compression not in COMPRESSIONS:
            raise InvalidEntryError(
                f"compression {self.compression!r} is unknown; use one of {', '.join(COMPRESSIONS)}"
            )


@dataclass(frozen=True, slots=True)
class ContentKey:
    """A named X25519 key, public or private: which of the two, the variable or file says that held it.

    Args:
        key_id: Public name of the pair, stored with everything sealed to it.
        key: Its 32 bytes. Never printed.

    Raises:
        InvalidContentKeyError: the name or the length is not acceptable.
    """

    key_id: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.key_id):
            raise InvalidContentKeyError(
                "the content key's name is not one; use 1 to 64 letters, digits, '.', '_' or '-', as in NAME:BASE64"
            )
        if len(self.key) != KEY_BYTES:
            raise InvalidContentKeyError(
                f"the content key has {len(self.key)} bytes, an X25519 key has {KEY_BYTES}; "
                "make a pair with: llm-audit content keygen NAME"
            )

    @classmethod
    def parse(cls, text: str) -> ContentKey:
        """The key written as ``NAME:BASE64``, as ``llm-audit content keygen`` writes it.

        Raises:
            InvalidContentKeyError: ``text`` has another form. The message never holds the key.
        """
        key_id, colon, encoded = text.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not colon or not key:
            raise InvalidContentKeyError("the content key cannot be read; write it as NAME:BASE64")
        return cls(key_id, key)

    def text(self) -> str:
        """The key as ``NAME:BASE64``."""
        return f"{self.key_id}:{base64.b64encode(self.key).decode()}"


def binding(
    *,
    request_id: str,
    part: str,
    recipient_key_id: str,
    compression: str,
    canonical_form: int,
    plain_bytes: int,
    truncated: bool,
) -> bytes:
    """What HPKE's ``info`` is: a ciphertext opens only as the part of the request it was sealed for.

    Two ciphertexts can therefore not be swapped, nor one be passed off as whole when it was cut.
    """
    return _CONTEXT + canonical.encode(
        [request_id, part, recipient_key_id, compression, canonical_form, plain_bytes, truncated]
    )


def input_form(messages: bytes | None, system: bytes | None) -> bytes | None:
    """The canonical form of an input of both, put together from theirs; ``None`` where neither is known."""
    if messages is None and system is None:
        return None
    members = [(b"messages", messages), (b"system", system)]
    return b"".join(
        [b"o", *(b"s%d:%s%s" % (len(name), name, form) for name, form in members if form is not None), b"e"]
    )
