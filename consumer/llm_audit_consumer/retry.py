"""How long to wait before trying again. Pure; the randomness is given.

Exponential with full jitter, so that many consumers do not come back to a recovering database at the same moment
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A library that sleeps between attempts will
not do here: the loop must go on polling Kafka meanwhile, or it would be put out of its group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits between attempts.

    Attributes:
        first_seconds: Longest wait after the first failure.
        longest_seconds: Longest wait after any failure.
    """

    first_seconds: float = 0.2
    longest_seconds: float = 15.0

    def wait_seconds(self, failures: int, random: Callable[[], float]) -> float:
        """The wait after so many failures in a row, between half of its bound and all of it.

        Args:
            failures: From 1.
            random: Gives a number from 0 up to 1.
        """
        bound = min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return bound * (0.5 + random() / 2)
