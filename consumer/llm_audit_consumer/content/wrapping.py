"""Wraps sealed content under its user's key, and opens both layers again.

Outside AES-256-GCM under the user's key, with a fresh random nonce; inside what the producer sealed to the
organisation's public key. Both layers are bound to what the row says of itself, so that neither can be moved to another
request. Random nonces are safe for 2^32 rows under one key (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_audit_consumer.content.keys import UserKey
from llm_audit_consumer.errors import ConfigurationError, ContentUnreadableError
from llm_audit_schemas import canonical_reading
from llm_audit_schemas.content import SEALING, ContentKey, binding
from llm_audit_schemas.errors import UnreadableFormError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_WRAP = b"llm-audit/wrap/1\x00"
_MOST_PLAIN_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContent:
    """A row of ``llm_audit_content``; meanings are those of ``audit_content.v1.avsc``."""

    request_id: str
    key_id: str
    part: str
    retention_class: str
    sealing: str
    compression: str
    canonical_form: int
    plain_bytes: int
    truncated: bool
    recipient_key_id: str | None
    wrapped: bytes | None = field(repr=False)

    @property
    def bound(self) -> bytes:
        """What both layers are bound to."""
        return binding(
            request_id=self.request_id,
            part=self.part,
            recipient_key_id=self.recipient_key_id or "",
            compression=self.compression,
            canonical_form=self.canonical_form,
            plain_bytes=self.plain_bytes,
            truncated=self.truncated,
        )


def wrap(sealed: bytes, key: UserKey, bound: bytes) -> bytes:
    """Sealed content under a user's key: the nonce, then the ciphertext with its tag.

    Raises:
        ConfigurationError: ``cryptography`` is missing.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _aead(key).encrypt(nonce, sealed, _WRAP + bound)


def unwrap(wrapped: bytes, key: UserKey, bound: bytes) -> bytes:
    """What was wrapped.

    Raises:
        ContentUnreadableError: it was not wrapped under this key for this row, or was changed since.
    """
    from cryptography.exceptions import InvalidTag

    try:
        return _aead(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _WRAP + bound)
    except InvalidTag as error:
        raise ContentUnreadableError(
            "the stored content does not open with its user's key",
            "the row was altered, or moved from elsewhere",
        ) from error


def reveal(content: StoredContent, key: UserKey, private_keys: Mapping[str, ContentKey]) -> object:
    """The content itself, as JSON-like values.

    Args:
        content: The row.
        key: Its user's key.
        private_keys: The organisation's, by name.

    Raises:
        ContentUnreadableError: a key does not fit, or what is inside is not what it says.
    """
    if content.wrapped is None:
        return None
    if content.sealing != SEALING:
        raise ContentUnreadableError(
            f"content was sealed by {content.sealing!r}, which this release does not know",
            "upgrade llm-audit-log",
        )
    private = private_keys.get(content.recipient_key_id or "")
    if private is None:
        raise ContentUnreadableError(
            f"content was sealed to the key {content.recipient_key_id!r}, and its private key was not given",
            "name its file too: --private-key FILE",
        )
    packed = _unsealer(private)(unwrap(content.wrapped, key, content.bound), content.bound)
    try:
        form = _unpacked(packed, content.compression)
        return canonical_reading.read(form, truncated=content.truncated)
    except (zlib.error, ValueError, UnreadableFormError) as error:
        raise ContentUnreadableError(f"content opened, but cannot be read: {error}") from error


def _unpacked(packed: bytes, compression: str) -> bytes:
    if compression == "none":
        return packed
    expander = zlib.decompressobj()
    form = expander.decompress(packed, _MOST_PLAIN_BYTES)
    if expander.unconsumed_tail or not expander.eof:
        raise ValueError("it is larger than anything we write, or breaks off")
    return form


def _aead(key: UserKey) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise ConfigurationError(
            "content needs the package cryptography", "install llm-audit-log[content]"
        ) from error
    return AESGCM(key.key)


def _unsealer(private_key: ContentKey) -> Callable[[bytes, bytes], bytes]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hpke
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    private = X25519PrivateKey.from_private_bytes(private_key.key)

    def unseal(sealed: bytes, info: bytes) -> bytes:
        try:
            return suite.decrypt(sealed, private, info)
        except (InvalidTag, ValueError) as error:
            raise ContentUnreadableError(
                f"content does not open with the private key {private_key.key_id!r}",
                "give the private key of that name; a public key opens nothing",
            ) from error

    return unseal
