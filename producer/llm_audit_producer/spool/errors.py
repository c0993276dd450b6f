"""What a spool file can refuse. These never reach a service: the spooling sink turns them into a loss or a detour."""

from __future__ import annotations


class SpoolFullError(Exception):
    """The spool's directory holds as much as it may."""


class SpoolBrokenError(Exception):
    """The disk, or the file, does not take or give an entry; the message says in SQLite's words why."""
