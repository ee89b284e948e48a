"""The configuration document's schema, as the node itself checks it: a push is refused before it leaves."""

from __future__ import annotations

from node.domain.config import NAME, NO_SUCH_FIELD, Document, digest, parse_document

__all__ = ["NAME", "NO_SUCH_FIELD", "Document", "digest", "parse_document"]
