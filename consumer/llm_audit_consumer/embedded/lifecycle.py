"""What can be started and stopped, as a context manager that leaves nothing half-started."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Startable(ABC):
    """Started when a block is entered, stopped when it is left; stopped too when the start itself fails."""

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until ready."""

    @abstractmethod
    def stop(self) -> None:
        """Stop; harmless when it is not running."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
