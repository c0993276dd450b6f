"""The spool: entries on this machine's disk until they are delivered. See README.md beside this file."""

from llm_audit_producer.spool.directory import SpoolDirectory
from llm_audit_producer.spool.sink import SpoolingSink

__all__ = ["SpoolDirectory", "SpoolingSink"]
