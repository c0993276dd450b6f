"""``python -m llm_audit_consumer.cli`` is ``llm-audit``, for processes that must not depend on a PATH."""

from llm_audit_consumer.cli import main

main()
