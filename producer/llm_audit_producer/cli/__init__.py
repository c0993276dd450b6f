"""Commands that the producer adds to ``llm-audit``, by the entry point group ``llm_audit.commands``.

They need the ``consumer`` extra, whose command line they become a part of; nothing else of the producer imports this.
"""
