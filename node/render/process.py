"""A video from its plan: encoded by one child process, read again by a second one, and compared here."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import node
from node.domain.errors import REGISTRY, EncoderFailed, VideoWrong
from node.render.judge import Facts, faults
from node.render.plan import LeftOut, Plan, Why

CHILD = "node.render.child"
LAST_WORDS_BYTES = 600
# Arenas, and threads of a library that is not used, cost memory and bring nothing; a picture that was freed goes back
# to the system instead of leaving a hole.
_LEAN = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),
    "PYTHONUNBUFFERED": "1",
}

Beat = Callable[[int, float], None]
Register = Callable[["subprocess.Popen[bytes]"], None]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A verified video.  `left_out` are those that the child could not use; `peak_bytes` is the encoder's memory."""

    frames: int
    left_out: tuple[LeftOut, ...]
    duration_s: float
    fps: float
    width: int
    height: int
    size_bytes: int
    sha256: str
    encoder: str
    peak_bytes: int


def render(plan: Plan, tmp_video: Path, tmp_poster: Path, *, beat: Beat, register: Register) -> Rendered:
    """The video and its poster, both synced, under the two names given; the caller renames them.

    `beat` gets the frames done, of the plan's, and frames per second; what it raises ends the child and goes on.
    `register` gets each child as it starts, so that somebody else can kill it.  Raises EncoderFailed, VideoWrong,
    CodecUnknown, MemoryShort, NoFrames, DiskFull, DiskReadOnly; nothing is left under the two names then.
    """
    try:
        return _render(plan, tmp_video, tmp_poster, _Caller(beat, register))
    except BaseException:
        for path in (tmp_video, tmp_poster):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class _Caller:
    beat: Beat
    register: Register


def _render(plan: Plan, tmp_video: Path, tmp_poster: Path, caller: _Caller) -> Rendered:
    paths = {"video": str(tmp_video), "poster": str(tmp_poster)}
    made = _run("encode", {"plan": asdict(plan), **paths}, caller)
    read = Facts(**_run("verify", {"done": len(plan.frames), **paths}, caller))
    wrong = faults(plan, made["frames"], read)
    if wrong:
        raise VideoWrong("; ".join(wrong))
    return Rendered(
        frames=read.frames,
        left_out=tuple(LeftOut(each["frame_id"], Why(each["why"])) for each in made["left_out"]),
        duration_s=read.duration_s,
        fps=read.fps,
        width=read.width,
        height=read.height,
        size_bytes=read.size_bytes,
        sha256=read.sha256,
        encoder=f"{plan.encoder} {plan.preset} crf {plan.crf}",
        peak_bytes=made["peak_bytes"],
    )


def _run(verb: str, request: Mapping[str, Any], caller: _Caller) -> dict[str, Any]:
    """What the child says at its end."""
    words = os.memfd_create("words")
    try:
        with _start(verb, words) as process:
            try:
                caller.register(process)
                answer = _talk(process, request, caller.beat)
            finally:
                process.kill()  # it has answered, has ended, or is not wanted any more
        if answer is None:
            raise EncoderFailed(f"{verb}: {_ending(process.returncode)}{_last_words(words)}")
        return answer
    finally:
        os.close(words)


def _start(verb: str, words: int) -> subprocess.Popen[bytes]:
    source = str(Path(node.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), source)))
    try:
        return subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
            [sys.executable, "-P", "-m", CHILD, verb],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            bufsize=0,
            env={**os.environ, **_LEAN, "PYTHONPATH": path},
        )
    except OSError as error:
        raise EncoderFailed(f"child cannot be started: {error}") from error


def _talk(process: subprocess.Popen[bytes], request: Mapping[str, Any], beat: Beat) -> dict[str, Any] | None:
    """Its answer; None when it ended without one.  Raises the error that it names."""
    done, speed = 0, 0.0
    with suppress(BrokenPipeError):
        _ask(process, request)
        for line in _lines(process):
            if "error" in line:
                raise REGISTRY[line["error"]](line["detail"])
            if "answer" in line:
                answer: dict[str, Any] = line["answer"]
                return answer
            done, speed = max(done, line["done"]), line["fps"]
            beat(done, speed)
    beat(done, speed)  # who killed the child says why here
    return None


def _ask(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    """The pipe stays open: its end would end the child."""
    assert process.stdin
    rest = memoryview(json.dumps(request).encode() + b"\n")
    while rest:
        rest = rest[os.write(process.stdin.fileno(), rest) :]


def _lines(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert process.stdout
    with io.BufferedReader(cast("io.RawIOBase", process.stdout)) as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return  # it died in the middle of it
            yield json.loads(line)


def _ending(status: int) -> str:
    return f"child ended by signal {-status}" if status < 0 else f"child ended with status {status}"


def _last_words(words: int) -> str:
    size = os.fstat(words).st_size
    text = os.pread(words, LAST_WORDS_BYTES, max(0, size - LAST_WORDS_BYTES)).decode(errors="replace")
    said = " | ".join(line.strip() for line in text.splitlines()[-3:] if line.strip())
    return f"; last words: {said}" if said else ""
