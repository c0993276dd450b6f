"""Seals content to the organisation's public key: what is sealed here cannot be read back here.

HPKE (RFC 9180) in base mode, with the suite that ``cryptography`` has for X25519. Nothing but the public key is known
to the service, so neither it nor whoever takes it over can open what it has written.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llm_audit_producer.errors import AuditSettingsError
from llm_audit_schemas import AuditEntry, canonical
from llm_audit_schemas.content import SEALING, AuditContent, ContentKey, binding

_ENVELOPE_BYTES = 16 * 1024  # names, ids, the seal, and what a compression of noise adds
_COMPRESSION_LEVEL = 1  # a higher one takes twice the time for a few percent; figures in README.md


@dataclass(frozen=True, slots=True)
class ContentForms:
    """The canonical forms of one call's content; ``None`` where there was none.

    Attributes:
        input: An object of the messages and the system prompt.
        output: The answer's blocks.
    """

    input: bytes | None
    output: bytes | None

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.input or b"") + len(self.output or b"")

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """The parts that are there, by name."""
        if self.input is not None:
            yield "input", self.input
        if self.output is not None:
            yield "output", self.output


class Sealer:
    """Seals to one public key.

    Attributes:
        largest_bytes: About the largest record that comes of it.

    Args:
        public_key: Whose private key opens it.
        content_bytes: Most bytes of a canonical form that are kept; the rest is cut off, and that is recorded.

    Raises:
        AuditSettingsError: ``cryptography`` is missing or too old, or the key is none that can be used.
    """

    def __init__(self, public_key: ContentKey, content_bytes: int) -> None:
        self.largest_bytes = content_bytes + _ENVELOPE_BYTES
        self._key_id = public_key.key_id
        self._content_bytes = content_bytes
        self._encrypt = _encryption(public_key)

    def seal(self, entry: AuditEntry, part: str, form: bytes) -> AuditContent:
        """One part of an entry's content, compressed and sealed, bound to the entry's request_id."""
        truncated = len(form) > self._content_bytes
        described = {
            "request_id": entry.request_id,
            "part": part,
            "recipient_key_id": self._key_id,
            "compression": "deflate",
            "canonical_form": canonical.VERSION,
            "plain_bytes": len(form),
            "truncated": truncated,
        }
        packed = zlib.compress(form[: self._content_bytes], _COMPRESSION_LEVEL)
        return AuditContent(
            **described,  # type: ignore[arg-type]  # named as the record's fields are
            timestamp=entry.timestamp,
            user_id=entry.user_id,
            tenant=entry.tenant,
            retention_class=entry.retention_class,
            sealing=SEALING,
            sealed=self._encrypt(packed, binding(**described)),  # type: ignore[arg-type]  # as above
        )


def _encryption(public_key: ContentKey) -> Callable[[bytes, bytes], bytes]:
    try:
        from cryptography.hazmat.primitives import hpke
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    except ImportError as error:
        raise AuditSettingsError(
            "content_mode 'encrypted' needs cryptography 50; install llm-audit-log[content]"
        ) from error
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    key = X25519PublicKey.from_public_bytes(public_key.key)

    def encrypt(plain: bytes, info: bytes) -> bytes:
        return suite.encrypt(plain, key, info)

    try:
        encrypt(b"", b"")
    except ValueError as error:  # such as the all-zero point, which would give everybody the same secret
        raise AuditSettingsError(
            f"the content key {public_key.key_id!r} is no X25519 public key that can be used; "
            "make a pair with: llm-audit content keygen NAME"
        ) from error
    return encrypt
