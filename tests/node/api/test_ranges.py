from __future__ import annotations

import pytest

from node.api.ranges import Span, span_of


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 0)),
        ("bytes=2-4", Span(2, 4)),
        ("bytes=2-", Span(2, 9)),
        ("bytes=2-99", Span(2, 9)),
        ("bytes=-3", Span(7, 9)),
        ("bytes=-99", Span(0, 9)),
        ("Bytes = 2-4", Span(2, 4)),
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("", None),
        ("bytes=١-٢", None),
        ("bytes=2-99999999999999999999", Span(2, 9)),
        ("bytes=2-" + "9" * 5000, Span(2, 9)),
        ("bytes=-" + "9" * 5000, Span(0, 9)),
        ("bytes=" + "0" * 5000 + "2-04", Span(2, 4)),
    ],
)
def test_one_range_is_read_and_anything_else_means_the_whole(header: str, span: Span | None) -> None:
    assert span_of(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_without_a_byte_cannot_be_served(header: str) -> None:
    with pytest.raises(ValueError, match="of 10 bytes"):
        span_of(header, 10)
