"""Spans of time and cameras, as several commands take them."""

from __future__ import annotations

import argparse

from node.commands.base import plain_name
from node.domain.times import from_text, to_text


def span_options(parser: argparse.ArgumentParser, said: str) -> None:
    """--camera, --from and --to."""
    parser.add_argument("--camera", type=plain_name, metavar="NAME", help=said)
    moment = "RFC 3339, such as 2026-11-20T06:00:00+01:00"
    parser.add_argument("--from", dest="since", type=_moment, metavar="TIME", help=f"from then on: {moment}")
    parser.add_argument("--to", dest="until", type=_moment, metavar="TIME", help="until then, not included")


def span_us(given: argparse.Namespace) -> dict[str, int]:
    """Of those given, as the queue takes them."""
    return {name: at_us for name, at_us in (("from_us", given.since), ("to_us", given.until)) if at_us is not None}


def span_texts(given: argparse.Namespace) -> dict[str, str]:
    """Of those given, as the API takes them."""
    return {name: to_text(at_us) for name, at_us in (("from", given.since), ("to", given.until)) if at_us is not None}


def _moment(text: str) -> int:
    """UTC microseconds."""
    try:
        return from_text(text)
    except ValueError:
        message = f"{text!r} is no time with a UTC offset, such as 2026-11-20T06:00:00+01:00"
        raise argparse.ArgumentTypeError(message) from None
