"""Antiphon runs agent workflows written in YAML as AutoGen GroupChat sessions, and records every step."""

__version__ = "0.1.0"
