"""The folder of a machine's spool files: whose they are, how much they hold, which ones a dead process left."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from llm_audit_producer.spool.claim import Claim
from llm_audit_producer.spool.errors import SpoolBrokenError
from llm_audit_producer.spool.source import Source
from llm_audit_producer.spool.spool_file import SUFFIX, SpoolFile

logger = logging.getLogger("llm_audit_producer")

_CLAIM_SUFFIX = ".claim"


class SpoolDirectory:
    """A folder of spool files, each with a claim file beside it.

    Args:
        path: Made when missing, for its owner only.
        maximum_bytes: Most that all files together may hold.
        fsync: Wait for the disk at each append.
    """

    def __init__(self, path: Path, *, maximum_bytes: int, fsync: bool) -> None:
        self.path = path
        self.maximum_bytes = maximum_bytes
        self._fsync = fsync
        self._made: list[str] = []

    def create(self, producer_id: str, facts: Mapping[str, str]) -> Source:
        """A new file, claimed.

        Raises:
            SpoolBrokenError: it cannot be made.
        """
        self._made.append(producer_id)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            claim = Claim.take(self._claim_of(producer_id))
        except OSError as error:
            raise SpoolBrokenError(f"the spool directory {self.path} fails: {error}") from error
        if claim is None:
            raise SpoolBrokenError(f"the spool of producer {producer_id} in {self.path} is held by another")
        try:
            file = SpoolFile(self._file_of(producer_id), facts, fsync=self._fsync)
        except BaseException:
            claim.release(remove=True)
            raise
        return Source(file, claim, own=True)

    def adopt(self) -> dict[str, Source]:
        """The files whose processes are gone, claimed, by producer_id; one that cannot be opened is said and left."""
        adopted: dict[str, Source] = {}
        for path in sorted(self.path.glob(f"*{SUFFIX}")):
            try:
                source = self._adopt(path)
            except (SpoolBrokenError, OSError) as error:
                logger.warning("llm-audit: a spool that another process left cannot be adopted: %s", error)
                continue
            if source is not None:
                adopted[path.stem] = source
        return adopted

    def bytes_of_others(self) -> int:
        """What the files of other processes take."""
        total = 0
        for path in self.path.glob(f"*{SUFFIX}*"):
            if not path.name.startswith(tuple(self._made)):
                try:
                    total += path.stat().st_size
                except OSError:
                    continue  # its process was done with it just now
        return total

    def _adopt(self, path: Path) -> Source | None:
        claim = Claim.take(self._claim_of(path.stem))
        if claim is None:
            return None
        try:
            if not path.exists():  # its process was done with it between the listing and the claim
                claim.release(remove=True)
                return None
            file = SpoolFile(path, fsync=self._fsync)
            file.unpark()
        except BaseException:
            claim.release()
            raise
        logger.info(
            "llm-audit: adopting the spool of a process that is gone: %s, %d entries", path, file.count
        )
        return Source(file, claim, own=False)

    def _file_of(self, producer_id: str) -> Path:
        return self.path / f"{producer_id}{SUFFIX}"

    def _claim_of(self, producer_id: str) -> Path:
        return self.path / f"{producer_id}{_CLAIM_SUFFIX}"
