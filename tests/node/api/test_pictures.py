from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.api.pictures import SmallPictures
from node.domain.errors import PictureUnreadable


class Now:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_a_picture_is_made_once_and_again_when_it_is_old() -> None:
    now, made, given = Now(), [], []
    pictures = SmallPictures(now, given.append, kept_s=10)

    def make() -> bytes:
        made.append(now.s)
        return b"jpeg"

    for now.s in (0.0, 5.0, 10.0, 10.1):
        assert pictures.get(("a", 320), make) == b"jpeg"
    assert made == [0.0, 10.1]
    assert given == ["made", "cache", "cache", "made"]
    assert pictures.get(("a", 160), make) == b"jpeg"
    assert len(made) == 3


def test_bytes_are_bounded_and_the_least_recent_goes_first() -> None:
    pictures = SmallPictures(Now(), str, limit_bytes=30)
    for name in ("a", "b", "c"):
        pictures.get((name, 1), lambda: b"x" * 10)
    pictures.get(("a", 1), lambda: b"never")
    pictures.get(("d", 1), lambda: b"x" * 10)
    assert [key[0] for key in pictures._kept] == ["c", "a", "d"]
    assert pictures._bytes == 30
    pictures.get(("large", 1), lambda: b"x" * 31)
    assert pictures._bytes == 0


def test_a_failure_is_raised_and_not_kept() -> None:
    pictures = SmallPictures(Now(), str)

    def fails() -> bytes:
        raise PictureUnreadable("truncated")

    for _ in range(2):
        with pytest.raises(PictureUnreadable):
            pictures.get(("a", 1), fails)
    assert pictures.get(("a", 1), lambda: b"well") == b"well"


def test_many_who_ask_at_once_cost_one_picture() -> None:
    pictures, made, gate = SmallPictures(Now(), str), [], threading.Event()

    def make() -> bytes:
        gate.wait(5)
        made.append(1)
        return b"jpeg"

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(pictures.get, ("a", 1), make) for _ in range(4)]
        gate.set()
        assert {each.result() for each in asked} == {b"jpeg"}
    assert made == [1]
