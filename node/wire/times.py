"""Instants as the wire writes them: RFC 3339 UTC with ms."""

from __future__ import annotations

from node.domain.times import US, from_text, to_text

__all__ = ["US", "from_text", "to_text"]
