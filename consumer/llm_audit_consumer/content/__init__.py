"""Sealed content: stored under each user's own key, read by who may, and gone with that key (README.md)."""
