"""The errors that both ends speak of: the node's own table, as the console may import it."""

from __future__ import annotations

from node.domain.errors import (
    EXIT_CODES,
    OK,
    ConsoleFileUnusable,
    FieldFault,
    HeliographError,
    InventoryUnreadable,
    InventoryWrong,
    NodeAnswerWrong,
    NodeNeverReady,
    NodeRefused,
    NodeUnreachable,
    NotConfirmed,
    NothingSelected,
    OrderRefused,
    PhotographsUnusable,
    PictureWrong,
    ProgramMissing,
    UsageWrong,
)

__all__ = [
    "EXIT_CODES",
    "OK",
    "ConsoleFileUnusable",
    "FieldFault",
    "HeliographError",
    "InventoryUnreadable",
    "InventoryWrong",
    "NodeAnswerWrong",
    "NodeNeverReady",
    "NodeRefused",
    "NodeUnreachable",
    "NotConfirmed",
    "NothingSelected",
    "OrderRefused",
    "PhotographsUnusable",
    "PictureWrong",
    "ProgramMissing",
    "UsageWrong",
]
