"""Users' keys: what a key store holds, and what it must promise.

A user is known to the store only by keyed digests of the user id and the tenant, so that neither the store nor a
tombstone in it says by itself who somebody is. What is promised of every store:

- A user has one key at a time; two consumers that ask at once get the same one.
- A deleted key is not made again for a call from before the deletion, whenever that call's content arrives.
- A key is never cached by who uses it: what was deleted is gone with the next batch.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

KEY_BYTES = 32
SECRET_BYTES = 32
_PSEUDONYM_DIGITS = 32


class Subject(NamedTuple):
    """Whose content it is."""

    user_id: str
    tenant: str | None


@dataclass(frozen=True, slots=True)
class UserKey:
    """A user's own symmetric key.

    Attributes:
        key_id: Its public name, stored with all content under it.
        key: 32 bytes for AES-256-GCM. Never printed.
    """

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SubjectKeys:
    """What the store has for one subject.

    Attributes:
        key: The present key; ``None`` where every call asked about is from before an erasure and there is none.
        erased_at: When the subject was last erased; ``None`` if never.
    """

    key: UserKey | None
    erased_at: datetime | None

    def wants_key(self, latest_call: datetime) -> bool:
        """Whether a key is to be made for a call at that moment."""
        return self.key is None and (self.erased_at is None or self.erased_at < latest_call)

    def key_for(self, called_at: datetime) -> UserKey | None:
        """The key for content of a call at that moment; ``None`` where such content is to be dropped."""
        return None if self.erased_at is not None and called_at <= self.erased_at else self.key


class KeyStore(Protocol):
    """Where users' keys are kept, apart from what they open."""

    @property
    def description(self) -> str:
        """What it is, in words, without a password."""
        ...

    def keys_for(self, latest_calls: Mapping[Subject, datetime]) -> dict[Subject, SubjectKeys]:
        """Each subject's key, made where there is none and the subject's latest call is not from before an erasure.

        Raises:
            DatabaseUnavailableError: the store does not answer.
        """
        ...

    def key(self, key_id: str) -> UserKey | None:
        """The key of that name; ``None`` where it was deleted."""
        ...

    def key_ids(self, user_id: str, tenant: str | None) -> list[str]:
        """Names of a user's keys: of one tenant, or of all where none is given."""
        ...

    def erase(self, user_id: str, tenant: str | None, at: datetime) -> list[str]:
        """Delete a user's keys and leave a tombstone, in one step; returns the names of what was deleted.

        Args:
            user_id: Whose.
            tenant: Of which tenant; of all, and of none, where not given.
            at: Content of calls up to this moment gets no key any more.
        """
        ...

    def scrub(self) -> None:
        """Have the store's own files forget what was deleted, as far as it can."""
        ...

    def pseudonym(self, user_id: str, tenant: str | None) -> str:
        """What stands for an erased user in the log: the same whenever it is asked, and only here."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


class Digests:
    """Keyed digests by which a store knows users.

    Args:
        secret: The store's own; without it nobody can tell by trying names who is in the store.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def user(self, user_id: str) -> bytes:
        """The digest of a user id."""
        return self._digest(b"user\x00", user_id)

    def tenant(self, tenant: str | None) -> bytes:
        """The digest of a tenant; no bytes for none."""
        return b"" if tenant is None else self._digest(b"tenant\x00", tenant)

    def pseudonym(self, user_id: str, tenant: str | None) -> str:
        """See :meth:`KeyStore.pseudonym`."""
        whole = self.tenant(tenant) + self._digest(b"pseudonym\x00", user_id)
        return "erased-" + hashlib.sha256(whole).hexdigest()[:_PSEUDONYM_DIGITS]

    def _digest(self, kind: bytes, text: str) -> bytes:
        return hmac.new(self._secret, kind + text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def latest_of(calls: Collection[tuple[Subject, datetime]]) -> dict[Subject, datetime]:
    """Each subject's latest call."""
    latest: dict[Subject, datetime] = {}
    for subject, called_at in calls:
        if subject not in latest or called_at > latest[subject]:
            latest[subject] = called_at
    return latest
