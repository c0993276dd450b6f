"""A small service to look at: scripted conversations through the real SDK, audited as any service would be.

``python -m llm_audit_producer.demo`` talks to a local server that speaks the Messages API, or with ``--live`` to the
real one. ``llm-audit demo`` runs it against an embedded stack.
"""
