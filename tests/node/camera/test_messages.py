from __future__ import annotations

import json

import pytest

from node.camera import messages
from node.camera.base import CameraConfig, Capabilities, ExposurePlan, Shot, ShotSpec
from node.camera.messages import Garbled, Message
from node.domain.errors import CameraBusy, CameraFault, DirectoryMissing
from node.domain.frame import Exposure


def through_the_pipe(message: Message) -> Message:
    data = b"".join(bytes(buffer) for buffer in messages.pack(message))
    start = messages.PREFIX.size
    header_size, parts_size = messages.lengths(data[:start])
    body = memoryview(data)[start + header_size :]
    assert len(body) == parts_size
    return messages.unpack(data[start : start + header_size], body)


def test_a_shot_comes_through_whole() -> None:
    shot = Shot(
        jpeg=b"\xff\xd8picture", width=64, height=48, captured_us=7, requested=Exposure(0.5, 2.0),
        actual=Exposure(0.4, 2.5, 1.0), settled=False, frames_used=3, backend="synthetic", luma=b"\x01\x02",
        luma_width=2, luma_height=1, lux=0.3,
    )  # fmt: skip
    assert messages.to_shot(through_the_pipe(messages.from_shot(shot))) == shot


def test_requests_come_through_whole() -> None:
    spec = ShotSpec(12, ExposurePlan("manual", 0.1, 2.0))
    config = CameraConfig("main", {"backend": "synthetic", "faults": [{"kind": "busy"}]}, 64, 48, shots_before=3)
    header = through_the_pipe(
        Message({"spec": messages.from_spec(spec), "config": messages.from_config(config)})
    ).header
    assert messages.to_spec(header["spec"]) == spec
    assert messages.to_config(header["config"]) == config


def test_errors_keep_code_and_detail() -> None:
    for error in (CameraBusy("held"), DirectoryMissing("/x")):
        back = messages.to_error(through_the_pipe(messages.from_error(error)).header)
        assert type(back) is type(error)
        assert str(back) == str(error)


def test_an_error_of_a_code_that_nobody_knows_is_a_fault() -> None:
    assert isinstance(messages.to_error({"error": "CAM-999"}), CameraFault)


def test_an_answer_without_error_is_none() -> None:
    assert messages.to_error({}) is None
    assert messages.to_capabilities({"width": 1, "height": 2}) == Capabilities(1, 2)


@pytest.mark.parametrize("prefix", [b"\0" * 8, b"\xff" * 8, messages.PREFIX.pack(10, 2**32 - 1)])
def test_sizes_that_cannot_be_are_refused(prefix: bytes) -> None:
    with pytest.raises(Garbled):
        messages.lengths(prefix)


@pytest.mark.parametrize("header", [b"not json", b"[]", b"{}", b'{"parts": [3]}', b'"text"'])
def test_a_garbled_header_is_refused(header: bytes) -> None:
    with pytest.raises(Garbled):
        messages.unpack(header, memoryview(b""))


def test_an_answer_that_is_no_shot_is_refused() -> None:
    header = json.dumps({"width": 3, "parts": [0, 0]}).encode()
    with pytest.raises(Garbled):
        messages.to_shot(messages.unpack(header, memoryview(b"")))
