"""The producer: captures LLM calls and publishes one audit entry for each."""
