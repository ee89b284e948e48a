from __future__ import annotations

import pytest

from console.columns.frames import FRAME_TABLE, LOOKS, bytes_text, shutter
from console.columns.table import Manner
from console.fleet.frames import VERDICTS, FrameRow, frame_row, gap_row
from node.wire.records import FrameRecord, SlotRecord

AT = "2027-01-15T08:00:00.000Z"
FRAME = FrameRecord(id="F", camera="north", captured=AT, verdict="bad", score=7, reasons=("blur",), flagged=True,
                    quarantined=True, size_bytes=1_234_567)  # fmt: skip
GAP = SlotRecord(camera="south", profile="auto", due=AT, reason="camera_fault", sentence="No picture came.", fault=True)


def cells(row: FrameRow, manner: Manner) -> dict[str, str]:
    return {column.key: column.cell(row, manner).text for column in FRAME_TABLE.columns}


def test_a_frame_and_a_gap_stand_in_the_same_columns() -> None:
    frame, gap = cells(frame_row("n", FRAME), Manner()), cells(gap_row("n", GAP), Manner())
    assert (frame["verdict"], frame["score"], frame["why"], frame["size"]) == (
        "✖ bad",
        "7",
        "blur, quarantined",
        "1.23 MB",
    )
    assert (gap["verdict"], gap["score"], gap["why"]) == ("○ gap", "·", "camera_fault No picture came.")


def test_each_verdict_has_a_sign_of_its_own_also_in_ascii() -> None:
    assert set(LOOKS) == set(VERDICTS)
    assert len({look[0] for look in LOOKS.values()}) == len({look[1] for look in LOOKS.values()}) == len(LOOKS)
    for row in (frame_row("n", FRAME), gap_row("n", GAP)):
        assert all(text.isascii() for text in cells(row, Manner(ascii=True)).values())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.0, ""),
        (-1.0, ""),
        (1 / 60, "1/60 s"),
        (0.5, "0.5 s"),
        (12.0, "12 s"),
        (1e-6, "1/1000000 s"),
        (1e-320, "1e-320 s"),
    ],
)
def test_exposures_are_written_as_photographers_do(seconds: float | None, said: str) -> None:
    assert shutter(seconds) == said


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_234_567, "1.23 MB"),
        (5e15, "5000 TB"),
        (10**30, f"{10**18} TB"),
        (10**400, f"{10**18} TB"),
    ],
)
def test_sizes_have_three_digits(size: float, said: str) -> None:
    assert bytes_text(size) == said
