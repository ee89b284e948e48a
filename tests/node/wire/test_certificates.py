from __future__ import annotations

import pytest

from node.wire.certificates import fingerprint, fingerprints

A, B = "ab" * 32, "0f" * 32


@pytest.mark.parametrize("word", [A, A.upper(), ":".join(["AB"] * 32)])
def test_a_fingerprint_is_the_same_however_it_is_written(word: str) -> None:
    assert fingerprint(word) == A


@pytest.mark.parametrize("word", ["", "ab", A + "0", "kyoto", A.replace("a", "g")])
def test_other_words_are_none(word: str) -> None:
    assert fingerprint(word) is None


def test_a_list_holds_one_a_line_and_words_for_people() -> None:
    text = f"# written by hand\n\n{A}\n  {':'.join(['0F'] * 32)} lost with the bag # in June\n"
    assert fingerprints(text) == {A, B}


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody\n"])
def test_an_empty_list_holds_none(text: str) -> None:
    assert fingerprints(text) == frozenset()


def test_a_line_without_one_is_named() -> None:
    with pytest.raises(ValueError, match="line 3: no SHA-256 fingerprint"):
        fingerprints(f"{A}\n\nkyoto\n")
