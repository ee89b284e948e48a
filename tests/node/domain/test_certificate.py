"""When a certificate counts, as its PEM says it."""

from __future__ import annotations

import base64
import datetime as dt
import ssl
from pathlib import Path

import pytest

from node.domain.certificate import Validity, validity
from tests.papers import Authority

HEAD, FOOT = "-----BEGIN CERTIFICATE-----\n", "\n-----END CERTIFICATE-----\n"


def us(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2027, 11, 20, 12, 30, 59, tzinfo=dt.UTC)),
        (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC)),
        (dt.datetime(1951, 1, 1, tzinfo=dt.UTC), dt.datetime(2050, 1, 1, tzinfo=dt.UTC)),
        (dt.datetime(2051, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC)),
    ],
)
def test_both_forms_of_a_time_are_read(tmp_path: Path, begin: dt.datetime, end: dt.datetime) -> None:
    paper = Authority(tmp_path).node("north", begin, end)
    assert validity(paper.certificate.read_text()) == Validity(us(begin), us(end))


def test_of_a_chain_the_first_one_counts_and_words_around_it_do_not(tmp_path: Path) -> None:
    fleet = Authority(tmp_path)
    paper = fleet.node(end=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    chain = f"Subject: CN=north\n{paper.certificate.read_text()}{fleet.file.read_text()}"
    assert validity(chain).until_us == us(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize("text", ["", "words", HEAD, HEAD + FOOT, f"{HEAD}not base64!{FOOT}", f"{HEAD}MAA={FOOT}"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        validity(text)


def test_one_cut_anywhere_is_refused_and_nothing_else_is_raised(tmp_path: Path) -> None:
    whole = ssl.PEM_cert_to_DER_cert(Authority(tmp_path).node().certificate.read_text())
    for size in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            validity(f"{HEAD}{base64.b64encode(whole[:size]).decode()}{FOOT}")
