"""Decoded batches on their way into the database, written by a thread of their own: in order, one at a time.

The database is touched by one thread at a time: who else wants to, calls :meth:`WriteQueue.wait` first. What became of
a write is found out by :meth:`WriteQueue.finish`, in the caller's thread.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait

from llm_audit_consumer.batch import Message, Partition, Written
from llm_audit_consumer.batch_decoding import DecodedMessages
from llm_audit_consumer.batch_writer import BatchWriter
from llm_audit_consumer.metrics import Metrics

MOST_BATCHES = 2
"""One being written, and one made ready meanwhile: this bounds memory."""


class WriteQueue:
    """Batches that are decoded and not known to be committed.

    Args:
        writer: Writes them.
        metrics: What it counts.
    """

    def __init__(self, writer: BatchWriter, metrics: Metrics) -> None:
        self._writer = writer
        self._metrics = metrics
        self._batches: deque[DecodedMessages] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._under_way: Future[Written] | None = None

    def __bool__(self) -> bool:
        return bool(self._batches)

    @property
    def full(self) -> bool:
        """Whether no further batch may be added."""
        return len(self._batches) >= MOST_BATCHES

    @property
    def writing(self) -> bool:
        """Whether a write was begun and not finished."""
        return self._under_way is not None

    @property
    def written(self) -> bool:
        """Whether the write under way has ended, and only its outcome is to be taken."""
        return self._under_way is not None and self._under_way.done()

    @property
    def messages(self) -> int:
        """How many messages its batches have."""
        return sum(map(len, self._batches))

    @property
    def oldest(self) -> dict[Partition, Message]:
        """The first message of each partition."""
        found: dict[Partition, Message] = {}
        for batch in reversed(self._batches):
            found.update({message.partition: message for message in reversed(batch.messages)})
        return found

    def add(self, batch: DecodedMessages) -> None:
        """Put a batch behind the others."""
        self._batches.append(batch)

    def begin(self) -> None:
        """Begin to write the first batch, unless a write is under way or there is none."""
        if self._under_way is None and self._batches:
            self._under_way = self._thread.submit(self._write, self._batches[0])

    def wait(self) -> None:
        """Return once no thread writes; how that went :meth:`finish` tells."""
        if self._under_way is not None:
            wait([self._under_way])

    def finish(self) -> tuple[DecodedMessages, Written] | None:
        """Wait for the write under way, whose batch is then out of the queue; ``None`` where there is none.

        Raises:
            AuditConsumerError: as :meth:`BatchWriter.write`; the batch is still the first one.
        """
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return None
        written = under_way.result()
        return self._batches.popleft(), written

    def keep_ours(self) -> None:
        """Of what is not being written, keep only messages that are ours and not committed yet."""
        first = [] if self._under_way is None else [self._batches.popleft()]
        kept = [self._writer.remaining(each) for each in self._batches]
        self._batches = deque([*first, *(each for each in kept if len(each))])

    def clear(self) -> None:
        """Forget everything; no write may be under way."""
        self._batches.clear()

    def close(self) -> None:
        """End the thread, once the write under way is done."""
        self._thread.shutdown()

    def _write(self, batch: DecodedMessages) -> Written:
        with self._metrics.batch_seconds.labels("write").time():
            return self._writer.write(batch)
