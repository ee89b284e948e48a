"""A served node: real store, journal, board, hub and follower behind a real server on loopback; commands that note."""

from __future__ import annotations

import hashlib
import io
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from starlette.types import ASGIApp

from node.api.access import Access
from node.api.app import build
from node.api.commands import Activated, Caller, CameraPreview, Commands, ConfigPreview
from node.api.edge import Edge
from node.api.parts import ApiParts
from node.api.server import Server
from node.board import Board
from node.domain.config import Document, digest, parse_document
from node.domain.errors import CodecUnknown, HeliographError
from node.domain.events import AccessRefused
from node.domain.facts import (
    CLOCK,
    CONFIG,
    DATABASE,
    DISK,
    HOST,
    IDENTITY,
    BandFacts,
    CameraFacts,
    ClockFacts,
    ConfigFacts,
    DatabaseFacts,
    DiskFacts,
    HostFacts,
    IdentityFacts,
    LoopFacts,
    QualityFacts,
    camera_key,
    loop_key,
    quality_key,
)
from node.domain.frame import Frame
from node.domain.job import Priority
from node.domain.lease import Wish
from node.domain.nodefile import NodeFile, Token
from node.hub import Hub
from node.jobs import Jobs
from node.journal import Held
from node.metrics import Metrics
from node.store import videos
from node.store.files import Hold
from node.store.jobs import Job
from node.store.leases import Leases
from node.store.log import Actor, EventRow
from node.store.videos import LeftOut, Video
from node.work.follower import Follower, Source
from node.work.holds import Holds
from node.work.orders import Orders, Reach
from node.work.reclaim import Ground, Reclaimer
from tests.clocks import JumpClock
from tests.stores import Store, day, frame_of, gap_of, kept_event, opened, slot_of

TOKENS = {"viewer": "see-me", "operator": "do-it", "admin": "all-of-it", "expired": "too-late"}
TARGETS = ("nas", "usb")
GB = 1_000_000_000


def jpeg(width: int = 64, height: int = 48, shade: int = 120) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 90, 60)).save(data, "JPEG", quality=90)
    return data.getvalue()


def node_file(clock: JumpClock, **api: Any) -> NodeFile:
    """Two cameras, a token of each role, and one that has expired."""
    tokens = [
        {
            "name": name,
            "role": "admin" if name == "expired" else name,
            "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        }
        for name, secret in TOKENS.items()
    ]
    tokens[-1]["expires_us"] = clock.now_us()
    return NodeFile.model_validate(
        {
            "node": {"id": "north"},
            "api": {"port": 0, "insecure_loopback": True, "tokens": tokens, **api},
            "cameras": {"main": {"backend": "synthetic"}, "side": {"backend": "synthetic"}},
            "archive": {
                "nas": {"kind": "directory", "path": "/mnt/nas"},
                "usb": {"kind": "directory", "path": "/mnt/usb"},
            },
        }
    )


@dataclass
class Doer:
    """What the loops would do, done to the store at once; `asked` notes each call, `fails` makes the next one raise."""

    store: Store
    document: Document = field(default_factory=Document)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    refused: list[AccessRefused] = field(default_factory=list)
    fails: HeliographError | None = None

    @cached_property
    def orders(self) -> Orders:
        """The real ones: jobs that nobody does."""
        held = Hold(self.store.folder, -1)
        ground = Ground(held, self.store.journal, self.store.clock, lambda: self.document, TARGETS)
        reach = Reach(self.store.folder, ("main", "side"), TARGETS)
        return Orders(self.jobs, self.store.journal, Reclaimer(ground), reach)

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.store.journal)

    def commands(self) -> Commands:
        return Commands(
            capture=self.capture,
            restart_camera=self.restart,
            hold_camera=self.hold,
            resume_camera=self.resume,
            put_config=self.put,
            roll_back=self.roll_back,
            lease=self.leases.current,
            take_lease=lambda owner, message, ttl_s, caller: self.leases.take(Wish(owner, message, caller.name, ttl_s)),
            release_lease=lambda owner, force, caller: self.leases.release(owner, force=force),
            preview_config=self.preview,
            orders=self.orders,
            refused=self.tell,
        )

    def tell(self, event: AccessRefused) -> None:
        self.refused.append(event)
        if self.fails:
            raise self.fails

    def capture(self, camera: str, profile: str, caller: Caller) -> Frame:
        self._ask("capture", camera, profile, caller)
        return keep_file(self.store, None, camera=camera, profile=profile)

    def restart(self, camera: str, caller: Caller) -> None:
        self._ask("restart", camera, caller)

    @cached_property
    def leases(self) -> Leases:
        """The real ones."""
        return Leases(self.store.folder, self.store.clock)

    @cached_property
    def holds(self) -> Holds:
        """The real ones."""
        return Holds(self.store.journal)

    def hold(self, camera: str, reason: str, for_s: int | None, caller: Caller) -> Held:
        self._ask("hold", camera, reason, for_s, caller)
        return self.holds.hold(camera, reason, for_s, Actor(caller.name))

    def resume(self, camera: str, caller: Caller) -> Held:
        self._ask("resume", camera, caller)
        return self.holds.resume(camera, Actor(caller.name))

    def put(self, given: dict[str, Any], version: int, caller: Caller) -> Activated:
        self._ask("put", given, version, caller)
        with self.leases.respected(caller.lease):
            return self._put(given, version, caller)

    def _put(self, given: dict[str, Any], version: int, caller: Caller) -> Activated:
        document = parse_document(given)
        before = self.store.journal.begin_book()
        now = self.store.journal.put_config(given, version, Actor(caller.name), self.store.clock.now_us(), None)
        self.document = document
        changed = now.version.version != before.version.version
        return Activated(now.version.version, now.version.digest, before.version.version, changed)

    def roll_back(self, version: int | None, caller: Caller) -> Activated:
        self._ask("roll back", version, caller)
        before = self.store.journal.begin_book().version
        wanted = version or max(1, before.version - 1)
        now = self.store.journal.activate_config(
            wanted, before.version, Actor(caller.name), self.store.clock.now_us(), None
        )
        return Activated(now.version.version, now.version.digest, before.version)

    def preview(self, given: dict[str, Any]) -> ConfigPreview:
        self._ask("preview", given)
        parse_document(given)
        camera = CameraPreview("main", (self.store.clock.now_us(),), 1440.0, 720.0)
        return ConfigPreview(digest(given), ("site.name",), (camera,))

    def _ask(self, *call: Any) -> None:
        self.asked.append(call)
        if self.fails:
            raise self.fails


@dataclass
class Served:
    """One running API.  `get` and the like speak as an admin unless told otherwise."""

    store: Store
    board: Board
    hub: Hub[EventRow]
    doer: Doer
    parts: ApiParts
    server: Server
    http: httpx.Client

    @property
    def clock(self) -> JumpClock:
        return self.store.clock

    def ask(self, method: str, path: str, role: str | None = "admin", **how: Any) -> httpx.Response:
        headers = {**token_of(role), **how.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **how)

    def get(self, path: str, role: str | None = "admin", **how: Any) -> httpx.Response:
        return self.ask("GET", path, role, **how)

    def post(self, path: str, role: str | None = "admin", **how: Any) -> httpx.Response:
        return self.ask("POST", path, role, **how)

    def allow(self, **api: Any) -> None:
        """Change limits of the live document."""
        self.doer.document = Document.model_validate({"api": api})


def token_of(role: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS.get(role, role)}"} if role else {}


def keep_file(store: Store, due_us: int | None, data: bytes | None = None, **changes: Any) -> Frame:
    """A frame with its real file, its row, its slot and its event."""
    data = jpeg() if data is None else data
    frame = frame_of(store.clock, due_us, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), **changes)
    path = store.folder / frame.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    slot = slot_of(frame) if due_us is not None else None
    store.journal.keep(frame, slot, [kept_event(frame)], day=day(frame.captured_us))
    return frame


def keep_video(store: Store, data: bytes = b"a film", **changes: Any) -> Video:
    """A video with its real file and poster, and its row."""
    identity, now_us = store.clock.new_id(), store.clock.now_us()
    made = Video(
        id=identity, camera="main", profile="auto", shoot=None, job_id=store.clock.new_id(), title="",
        from_us=now_us - 60_000_000, to_us=now_us, path=f"videos/main/{identity}.mp4",
        poster=f"videos/main/{identity}.jpg", size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), width=64,
        height=48, fps=25.0, frames=30, duration_s=1.2, codec="h264", encoder="libx264", tier="standard",
        left_out=LeftOut(1, (("01M7Q5EJ30BZPEPSQZS1QKHPAJ", "flagged"),)), created_us=now_us,
    )  # fmt: skip
    video = replace(made, **changes)
    for path, content in ((video.path, data), (video.poster, jpeg())):
        (store.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (store.folder / path).write_bytes(content)
    store.database.write(lambda session: videos.insert(session, video))
    return video


def keep_receipt(store: Store, frame: Frame, target: str = "nas") -> None:
    """That target holds the frame."""
    values = (frame.id, target, "frame", f"north/{frame.path}", frame.size_bytes, frame.sha256, "sha256sum")
    store.database.write(
        lambda session: session.execute(
            "INSERT INTO receipts (item, target, what, name, size_bytes, sha256, how, verified_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, store.clock.now_us()),
        )
    )


def reclaim(store: Store, frame: Frame, rule: str = "frames_days") -> None:
    """Its file is deleted by that rule."""
    (store.folder / frame.path).unlink()
    sql = "INSERT INTO frames_gone (frame_id, deleted_us, rule, receipts) VALUES (?, ?, ?, '[]')"
    store.database.write(lambda session: session.execute(sql, (frame.id, store.clock.now_us(), rule)))


def dead_job(jobs: Jobs, kind: str = "transfer", key: str = "nas") -> Job:
    """A job whose last attempt has failed."""
    asked = jobs.enqueue(kind, key, {"target": key} if kind == "transfer" else {}, priority=Priority.MANUAL)
    lease = jobs.claim((kind,), "test", "boot")
    assert lease is not None
    assert lease.id == asked.id
    return jobs.fail(lease, CodecUnknown("h266"))


def fill(store: Store, count: int = 3, interval_s: int = 60) -> list[Frame]:
    """Frames of both cameras with a gap after each."""
    frames = []
    for _ in range(count):
        store.clock.advance(interval_s)
        frames += [keep_file(store, store.clock.now_us(), camera=name) for name in ("main", "side")]
        store.clock.advance(interval_s)
        gap = gap_of(store.clock.now_us())
        store.journal.gap(gap, [], day=day(gap.slot.due_us))
    return frames


def post_facts(board: Board, clock: JumpClock, cameras: tuple[str, ...] = ("main", "side")) -> None:
    """A node that is well."""
    now_us = clock.now_us()
    board.post(IDENTITY, IdentityFacts("north", "0.5.0", now_us), now_us)
    board.post(CONFIG, ConfigFacts(1, digest({}), "North field", "Europe/Berlin"), now_us)
    board.post(CLOCK, ClockFacts(synced=True), now_us)
    board.post(DISK, DiskFacts(64 * GB, 32 * GB), now_us, took_ms=0.2)
    board.post(HOST, HostFacts(300_000_000, 120_000_000, 51.5), now_us)
    board.post(DATABASE, DatabaseFacts(last_event_id=7), now_us)
    board.post(loop_key("facts"), LoopFacts("facts", 1.0), now_us)
    for name in cameras:
        facts = CameraFacts(
            name, "ok", now_us, backend="synthetic", width=1280, height=720, interval_s=60,
            expected_since_us=now_us, next_due_us=now_us + 60_000_000, last_good_us=now_us, due=10, captured=9, gaps=1,
            last_gap_reason="timeout", quality=93, quality_24h=(91.0, None, 100.0), settled_to_us=now_us,
        )  # fmt: skip
        board.post(camera_key(name), facts, now_us)
        board.post(quality_key(name), QualityFacts(name, (BandFacts("auto/day/64x48", 50),)), now_us)


@contextmanager
def served(
    folder: Path,
    clock: JumpClock | None = None,
    trust: ssl.SSLContext | None = None,
    own_token: Token | None = None,
    **api: Any,
) -> Iterator[Served]:
    """Store to server; everything is stopped at the end.  `trust` is what the client shows and believes."""
    with opened(folder, clock) as store:
        store.journal.begin_book()
        board, hub, doer = Board(), Hub[EventRow](), Doer(store)
        post_facts(board, store.clock)
        source = Source(store.events.after, store.events.newest, store.database.data_version)
        follower = Follower(source, {"hub": hub.publish}, store.clock, board, lambda failed: None)
        store.journal.on_commit(follower.poke)
        parts = ApiParts(
            settings=node_file(store.clock, **api),
            data=store.folder,
            clock=store.clock,
            board=board,
            hub=hub,
            metrics=Metrics(board.all, store.clock.now_us, ("main", "side"), ("nas", "usb")),
            database=store.database,
            journal=store.journal,
            document=lambda: doer.document,
            commands=doer.commands(),
            own_token=own_token,
        )
        access = Access(parts.commands.refused, store.clock.monotonic)
        server = Server(build(parts, access), parts.settings.api, hub.stop, access.turned_away)
        follower.begin()
        follower.start()
        server.start()
        try:
            url = f"https://localhost:{server.port}" if trust else server.url
            with httpx.Client(base_url=url, timeout=10, trust_env=False, verify=trust or False) as http:
                yield Served(store, board, hub, doer, parts, server, http)
        finally:
            server.stop()
            follower.stop()


def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Whether it comes true in time, on real threads."""
    until = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.02)
    return held


@contextmanager
def behind_the_edge(
    parts: ApiParts, app: ASGIApp, *, deadline_s: float = 30.0, stall_s: float = 15.0
) -> Iterator[Server]:
    """Any application behind the edge and the server of the product."""
    edge = Edge(app, parts, deadline_s=deadline_s, stall_s=stall_s)
    server = Server(edge, parts.settings.api, lambda: None, lambda *_: None)
    server.start()
    try:
        yield server
    finally:
        server.stop()
