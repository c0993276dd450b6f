"""Keyed hashes of content: HMAC-SHA256 (RFC 2104) over the canonical form.

A plain hash of a short text can be undone by guessing; a keyed one only by who holds the key. Hashes of
different parts of a call never collide on purpose: the part's name is hashed first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from llm_audit_schemas import canonical
from llm_audit_schemas.errors import InvalidHashKeyError

Part: TypeAlias = Literal["system", "input", "output", "api_key"]
"""What is hashed: a content part, or an API key for its fingerprint."""

MINIMUM_KEY_BYTES: Final = 32
"""Shortest accepted secret: the hash's own width, as RFC 2104 section 3 advises."""

FINGERPRINT_DIGITS: Final = 16
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class HashKey:
    """A named secret for content hashes. Hashes are comparable only under the same ``key_id``.

    Args:
        key_id: Public name of the key, stored with every hash: letters, digits, ``.``, ``_``, ``-``.
        secret: At least :data:`MINIMUM_KEY_BYTES` random bytes. Never printed.

    Raises:
        InvalidHashKeyError: the name or the secret's length is not acceptable.
    """

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.key_id):
            # Not repeated here: where name and secret were swapped, it is the secret.
            raise InvalidHashKeyError(
                "the hash key's name is not one; use 1 to 64 letters, digits, '.', '_' or '-', as in NAME:BASE64-SECRET"
            )
        if len(self.secret) < MINIMUM_KEY_BYTES:
            raise InvalidHashKeyError(
                f"the secret of the hash key has {len(self.secret)} bytes; at least "
                f"{MINIMUM_KEY_BYTES} random ones are needed, such as from `openssl rand -base64 32`"
            )

    @classmethod
    def parse(cls, text: str) -> HashKey:
        """The key written as ``name:base64-secret``, the form of the environment variable and the key file.

        Raises:
            InvalidHashKeyError: ``text`` has another form. The message never holds the secret.
        """
        key_id, colon, encoded = text.strip().partition(":")
        if not colon:
            raise InvalidHashKeyError("the hash key has no name; write it as NAME:BASE64-SECRET")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise InvalidHashKeyError(
                "what follows the colon of the hash key is not base64; write it as NAME:BASE64-SECRET"
            ) from error
        return cls(key_id, secret)


def digest(key: HashKey, part: Part, canonical_form: bytes) -> str:
    """HMAC-SHA256 of a canonical form, bound to the part it is: 64 hex digits."""
    mac = hmac.new(key.secret, b"llm-audit/%d/%s\x00" % (canonical.VERSION, part.encode()), hashlib.sha256)
    mac.update(canonical_form)
    return mac.hexdigest()


def content_hash(key: HashKey, part: Literal["system", "input", "output"], content: object) -> str:
    """The hash under which ``content`` stands in the table.

    Args:
        key: The key whose ``key_id`` the entry carries.
        part: ``system``, ``input`` (messages, or the text of a lone user message) or ``output``.
        content: Text, or the API's own structure.
    """
    form = {
        "system": canonical.canonical_system,
        "input": canonical.canonical_input,
        "output": canonical.canonical_output,
    }[part]
    return digest(key, part, form(content))


def api_key_fingerprint(key: HashKey, api_key: str) -> str:
    """Which API key it was, for whoever holds the hash key: 16 hex digits of its keyed hash."""
    return digest(key, "api_key", api_key.encode("utf-8", "surrogatepass"))[:FINGERPRINT_DIGITS]
