"""Capture for Anthropic's SDK: one middleware, on the SDK's own public seam."""
