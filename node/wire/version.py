"""The release, which is one for both ends."""

from __future__ import annotations

from node import __version__

__all__ = ["__version__"]
