"""Whether hostile text makes the pattern sanitizer's time grow faster than its length.

`python -m tests.benchmarks.sanitizer_growth` redacts each hostile pattern at one length and at ten times that length,
for each kind, and prints the worst ratio of processor time: about 10 is by the length, about 100 by its square. Phone
numbers are tried at shorter lengths, because their library's matcher needs up to 40 microseconds a character. About a
minute.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

from llm_audit_producer.sanitizing.patterns import KINDS, PatternSanitizer

HOSTILE = ["1 ", "1/", "+1(", "1 (2", "a", "a@", "@a.", "a.", "@a-", "DE89 ", "DE89", "4111 ", "1:", "f::", "1.1.1.1.",
           "eyJaaaaaaaa.", "eyJaaaaaaaa-", "sk-", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-", "token=",
           "Bearer a", "SG.aaaaaaaaaaaaaaaa.", "_", " ", "%"]  # fmt: skip

LENGTH = 30_000
PHONE_LENGTH = 2_000


def seconds(sanitizer: PatternSanitizer, pattern: str, length: int) -> float:
    text = (pattern * (length // len(pattern) + 1))[:length]
    begun = time.process_time()
    sanitizer.redact(text)
    return time.process_time() - begun


def main() -> None:
    table = Table("kind", "characters", "worst pattern", "ms", "ten times the text")
    for kind in sorted(KINDS):
        sanitizer = PatternSanitizer([kind])
        length = PHONE_LENGTH if kind == "phone" else LENGTH
        worst = (0.0, "", 0.0)
        for pattern in HOSTILE:
            short = max(seconds(sanitizer, pattern, length), seconds(sanitizer, pattern, length), 0.001)
            ratio = (
                min(seconds(sanitizer, pattern, 10 * length), seconds(sanitizer, pattern, 10 * length))
                / short
            )
            worst = max(worst, (ratio, pattern, short))
        table.add_row(kind, f"{length:,}", repr(worst[1]), f"{worst[2] * 1000:.1f}", f"{worst[0]:.1f} times")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
