from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.camera.base import CameraConfig, CameraHealth, Capabilities, ExposurePlan, Shot, ShotSpec
from node.camera.supervisor import Supervisor
from node.domain.errors import (
    CameraAbsent,
    CameraBusy,
    CameraError,
    CameraFault,
    CameraLost,
    CameraMismatch,
    CameraOffline,
    CameraTimeout,
    DirectoryMissing,
    HeliographError,
)
from node.domain.events import CameraRecovered, RecoveryStep
from node.domain.frame import Exposure
from node.domain.recovery import Limits
from tests.clocks import JumpClock
from tests.simulate.direct import DirectLink

SMALL = {"backend": "synthetic", "width": 64, "height": 48}
QUIET = Limits(ping_every_s=None)


def config(*faults: dict[str, Any], **given: Any) -> CameraConfig:
    return CameraConfig("main", {**SMALL, "faults": list(faults)}, **given)


def supervisor(*faults: dict[str, Any], limits: Limits = QUIET) -> tuple[Supervisor, JumpClock]:
    clock = JumpClock()
    return Supervisor(config(*faults), clock, lambda: DirectLink(clock), limits=limits), clock


def shoot(camera: Supervisor, clock: JumpClock) -> Shot:
    return camera.shoot(ShotSpec(clock.now_us()))


def run(camera: Supervisor, clock: JumpClock, slots: int, interval_s: float = 60.0) -> list[str]:
    """What each slot brought, tending in between as the capture loop does."""
    outcomes = []
    for _ in range(slots):
        next_slot_s = clock.monotonic() + interval_s
        try:
            shoot(camera, clock)
            outcomes.append("frame")
        except CameraError as error:
            outcomes.append(error.code)
        while (at_s := camera.next_attempt_s()) is not None and at_s < next_slot_s:
            clock.advance(max(0.0, at_s - clock.monotonic()))
            camera.tend()
        clock.advance(max(0.0, next_slot_s - clock.monotonic()))
    return outcomes


class ScriptedLink:
    """Answers from a table; what is not in it, works."""

    def __init__(self, troubles: dict[str, list[HeliographError | None]], *, dies: bool = True) -> None:
        self.troubles, self.dies = troubles, dies
        self.calls: list[str] = []
        self.configs: list[CameraConfig] = []
        self.deadlines: list[float] = []
        self.alive, self.pid = True, 4711

    def _do(self, verb: str, deadline_s: float = 0.0) -> None:
        self.calls.append(verb)
        self.deadlines.append(deadline_s)
        queue = self.troubles.get(verb, [])
        error = queue.pop(0) if queue else None
        if error is not None:
            raise error

    def open(self, given: CameraConfig, deadline_s: float) -> Capabilities:
        self.configs.append(given)
        self._do("open", deadline_s)
        return Capabilities(64, 48)

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        self._do("shoot", deadline_s)
        used = Exposure(spec.plan.exposure_s or 0.25, 1.0)
        return Shot(b"", 64, 48, spec.at_us, Exposure(), used, True, 1, "scripted")  # noqa: FBT003

    def ping(self, deadline_s: float) -> CameraHealth:
        self._do("ping", deadline_s)
        return CameraHealth(open=True, shots=0)

    def close(self, deadline_s: float) -> None:
        self._do("close", deadline_s)

    def kill(self) -> bool:
        self.calls.append("kill")
        self.alive = not self.dies
        return self.dies

    def abort(self) -> None:
        self.calls.append("abort")
        self.alive = False
        self.troubles["open"] = self.troubles["shoot"] = [CameraLost("aborted")]


def scripted(
    troubles: dict[str, list[HeliographError | None]],
    *,
    dies: bool = True,
    limits: Limits = QUIET,
    busy: Callable[[float], object] = lambda _seconds: None,
) -> tuple[Supervisor, JumpClock, list[ScriptedLink]]:
    clock = JumpClock()
    made: list[ScriptedLink] = []

    def make() -> Any:
        made.append(ScriptedLink(troubles, dies=dies))
        return made[-1]

    return Supervisor(config(), clock, make, limits=limits, busy=busy), clock, made


def rungs(camera: Supervisor) -> list[str]:
    return [
        f"{event.rung} {event.attempt} {event.error_code}" if isinstance(event, RecoveryStep) else "recovered"
        for event in camera.take_steps()
    ]


def test_a_camera_warms_until_it_is_open() -> None:
    camera, _ = supervisor()
    assert camera.state.word == "warming"
    camera.tend()
    assert camera.state.word == "ok"
    assert camera.state.capabilities == Capabilities(64, 48, 1 / 16000, 30.0, 16.0, sets_exposure=True)


def test_the_first_opening_takes_no_shot_and_tells_nothing() -> None:
    camera, _, links = scripted({})
    camera.tend()
    assert links[0].calls == ["open"]
    assert camera.take_steps() == []


def test_a_shot_opens_the_camera_by_itself() -> None:
    camera, clock = supervisor()
    assert shoot(camera, clock).width == 64


def test_the_deadline_follows_the_longer_of_asked_and_previous_exposure() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    shoot(camera, clock)
    camera.shoot(ShotSpec(clock.now_us(), ExposurePlan("manual", 2.0, 1.0)))
    assert links[0].deadlines[1:] == pytest.approx([6 / 30 + 5, 6 * 0.25 + 5, 6 * 2.0 + 5])


def test_a_backend_with_patience_of_its_own_gets_it_when_opening() -> None:
    camera, _, links = scripted({})
    camera.configure(CameraConfig("main", {"backend": "opencv", "source": "0", "open_timeout_s": 40.0}))
    camera.tend()
    assert links[0].deadlines == [QUIET.open_s + 40.0]


def test_a_fault_reopens_and_proves_it_by_a_shot() -> None:
    camera, clock, links = scripted({"shoot": [CameraFault("once")]})
    with pytest.raises(CameraFault):
        shoot(camera, clock)
    assert camera.state.word == "recovering"
    camera.tend()
    assert links[0].calls == ["open", "shoot", "open", "shoot"]
    assert rungs(camera) == ["reopen 1 CAM-004", "recovered"]
    assert camera.state.word == "ok"


def test_nothing_is_tried_again_on_a_camera_that_timed_out() -> None:
    camera, clock, links = scripted({"shoot": [CameraTimeout("late")]})
    with pytest.raises(CameraTimeout):
        shoot(camera, clock)
    shoot(camera, clock)
    assert links[0].calls == ["open", "shoot", "open", "shoot", "shoot"]


def test_the_whole_ladder_is_climbed_and_goes_on_offline_for_ever() -> None:
    broken: list[HeliographError | None] = [CameraFault("broken")] * 60
    camera, clock, links = scripted({"open": [None, *broken], "shoot": [CameraFault("broken")]})
    assert run(camera, clock, 30, 30.0)[0] == "CAM-004"
    told = rungs(camera)
    assert told[:8] == [
        "reopen 1 CAM-004",
        "respawn 1 CAM-004",
        "respawn 2 CAM-004",
        "respawn 3 CAM-004",
        "respawn 4 CAM-004",
        "respawn 5 CAM-004",
        "offline 1 CAM-004",
        "offline 2 CAM-004",
    ]
    assert camera.state.word == "offline"
    assert len(links) > 10
    clock.advance(45 * 60)
    links[-1].troubles["open"].clear()
    assert run(camera, clock, 3)[-1] == "frame"
    assert rungs(camera)[-1] == "recovered"


def test_offline_refuses_shots_with_the_cause() -> None:
    camera, clock, _ = scripted({"open": [CameraAbsent("no cable")] * 9})
    run(camera, clock, 1, 1.0)
    with pytest.raises(CameraOffline, match="no cable"):
        shoot(camera, clock)


def test_failing_to_open_is_tried_three_times_more_each_in_a_fresh_worker() -> None:
    camera, clock, links = scripted({"open": [CameraAbsent("no cable")] * 3})
    assert run(camera, clock, 2) == ["CAM-002", "frame"]
    assert [link.calls for link in links] == [["open", "kill"]] * 3 + [["open", "shoot", "shoot"]]
    assert rungs(camera) == ["open 2 CAM-002", "open 3 CAM-002", "open 4 CAM-002", "recovered"]


def test_a_stuck_worker_puts_the_camera_offline_until_it_is_gone() -> None:
    camera, clock, links = scripted({"shoot": [CameraTimeout("late")]}, dies=False)
    camera.tend()
    links[0].alive = False
    with pytest.raises(CameraTimeout):
        shoot(camera, clock)
    camera.tend()
    assert camera.state.word == "offline"
    assert len(links) == 1
    links[0].dies = True
    clock.advance(46)
    camera.tend()
    assert camera.state.word == "ok"
    assert len(links) == 2


def test_ten_busy_shots_in_a_row_start_recovery() -> None:
    camera, clock, links = scripted({"shoot": [CameraBusy("held")] * 10})
    for _ in range(9):
        with pytest.raises(CameraBusy):
            shoot(camera, clock)
    assert camera.state.word == "ok"
    assert camera.state.failures == 9
    with pytest.raises(CameraBusy):
        shoot(camera, clock)
    assert camera.state.word == "recovering"
    camera.tend()
    assert links[0].calls[-2:] == ["open", "shoot"]


def test_ten_bad_pictures_reopen_twenty_more_respawn() -> None:
    camera, _, links = scripted({})
    camera.tend()
    for _ in range(10):
        camera.note_bad_picture()
    camera.tend()
    for _ in range(19):
        camera.note_bad_picture()
    assert camera.state.word == "ok"
    camera.note_bad_picture()
    camera.tend()
    assert [event.rung for event in camera.take_steps() if isinstance(event, RecoveryStep)] == ["reopen", "respawn"]
    assert len(links) == 2


def test_a_good_picture_restores_the_patience() -> None:
    camera, _, _ = scripted({})
    camera.tend()
    for _ in range(9):
        camera.note_bad_picture()
    camera.note_good_picture()
    camera.note_bad_picture()
    assert (camera.state.word, camera.state.failures) == ("ok", 1)


def test_a_ping_goes_out_after_thirty_idle_seconds() -> None:
    camera, clock, links = scripted({}, limits=Limits())
    shoot(camera, clock)
    assert camera.next_attempt_s() == clock.monotonic() + 30
    clock.advance(29)
    camera.tend()
    assert "ping" not in links[0].calls
    clock.advance(1)
    camera.tend()
    assert links[0].calls[-1] == "ping"
    assert camera.next_attempt_s() == clock.monotonic() + 30


def test_a_ping_without_answer_starts_recovery() -> None:
    camera, clock, _ = scripted({"ping": [CameraLost("worker ended")]}, limits=Limits())
    camera.tend()
    clock.advance(31)
    camera.tend()
    assert (camera.state.word, camera.state.error_code) == ("recovering", "CAM-007")
    camera.tend()
    assert camera.state.word == "ok"


def test_new_settings_reopen_the_camera_before_the_next_shot() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    camera.configure(config(width=128, height=96))
    shoot(camera, clock)
    assert links[0].calls == ["open", "shoot", "open", "shoot"]
    assert links[0].configs[-1].width == 128


def test_settings_that_only_change_the_margin_do_not_reopen() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    camera.configure(config(shot_margin_s=20.0))
    shoot(camera, clock)
    assert links[0].calls == ["open", "shoot", "shoot"]
    assert links[0].deadlines[-1] > 20


def test_settings_that_the_camera_refuses_are_proved_by_no_shot_and_the_old_ones_come_back() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    links[0].troubles["open"] = [CameraMismatch("no such size")]
    camera.configure(config(width=9999, height=9999))
    camera.tend()
    for _ in range(2):
        with pytest.raises(CameraMismatch):
            shoot(camera, clock)
    assert camera.refused is not None
    assert (camera.state.word, camera.state.error_code) == ("ok", "CAM-006")
    camera.configure(config())
    shoot(camera, clock)
    assert links[0].configs[-1].width is None
    assert camera.state.error_code is None
    assert links[0].calls == ["open", "shoot", "open", "open", "shoot"]


def test_settings_can_be_wanted_again_after_a_refusal() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    links[0].troubles["open"] = [CameraMismatch("no such size")]
    camera.configure(config(width=128, height=96))
    camera.tend()
    assert camera.refused is not None
    camera.configure(config(width=128, height=96))
    camera.tend()
    assert camera.refused is None
    assert links[0].configs[-1].width == 128


def test_a_failure_while_new_settings_are_applied_starts_recovery() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    links[0].troubles["open"] = [CameraFault("broken")]
    camera.configure(config(width=128, height=96))
    assert run(camera, clock, 2) == ["frame", "frame"]
    assert rungs(camera) == ["reopen 1 CAM-004", "recovered"]


def test_a_restart_by_hand_reopens_and_proves_it() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    clock.advance(500)
    assert camera.restart().width == 64
    assert links[0].calls == ["open", "shoot", "open", "shoot"]
    steps = camera.take_steps()
    assert steps == [RecoveryStep("main", "reopen", 1, "", "by hand"), CameraRecovered("main", "reopen", 0.0)]


def test_a_restart_that_fails_says_why_and_leaves_recovery_running() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    links[0].troubles["open"] = [CameraFault("broken")]
    with pytest.raises(CameraFault, match="broken"):
        camera.restart()
    assert camera.state.word == "recovering"
    camera.tend()
    assert camera.state.word == "ok"


def test_a_restart_works_for_a_camera_that_was_never_opened() -> None:
    camera, _, links = scripted({})
    assert camera.restart().width == 64
    assert links[0].calls == ["open", "shoot"]


def test_a_missing_replay_folder_is_an_absent_camera_that_names_it() -> None:
    camera, clock, _ = scripted({"open": [DirectoryMissing("/no/such/folder")]})
    with pytest.raises(CameraAbsent, match=r"DSK-004 .*/no/such/folder"):
        shoot(camera, clock)
    assert camera.state.error_code == "DSK-004"


def test_closing_releases_the_camera_and_ends_the_worker() -> None:
    camera, clock, links = scripted({})
    shoot(camera, clock)
    camera.close()
    camera.close()
    assert links[0].calls[-2:] == ["close", "kill"]


def test_closing_a_camera_that_does_not_answer_ends_the_worker_all_the_same() -> None:
    camera, clock, links = scripted({"close": [CameraTimeout("late")]})
    shoot(camera, clock)
    camera.close()
    assert links[0].calls[-1] == "kill"


def test_before_each_request_it_says_how_long_that_may_take() -> None:
    told: list[tuple[float, list[str]]] = []
    links: list[ScriptedLink] = []
    camera, clock, links = scripted(
        {}, limits=Limits(ping_every_s=30.0), busy=lambda seconds: told.append((seconds, list(links[0].calls)))
    )
    camera.tend()
    shoot(camera, clock)
    clock.advance(30)
    camera.tend()
    camera.restart()
    asked = ["open", "shoot", "ping", "open", "shoot"]
    assert [before for _, before in told] == [asked[:count] for count in range(len(asked))]
    assert [seconds for seconds, _ in told] == links[0].deadlines == pytest.approx([15.0, 5.2, 5.0, 15.0, 5.2])


def test_an_aborted_camera_fails_at_once_and_starts_no_worker_any_more() -> None:
    camera, clock, links = scripted({})
    camera.tend()
    camera.abort()
    with pytest.raises(CameraLost):
        shoot(camera, clock)
    clock.advance(60)
    camera.tend()
    camera.tend()
    assert [link.calls for link in links[1:]] == [["abort", "open"]]
    assert not any(link.alive for link in links)
    camera.close()


def test_an_abort_before_the_first_request_holds() -> None:
    camera, _, links = scripted({})
    camera.abort()
    camera.tend()
    assert [link.calls for link in links] == [["abort", "open"]]
    assert camera.state.word != "ok"


@pytest.mark.parametrize("kind", ["absent", "stall", "crash", "fault"])
@pytest.mark.parametrize("shots", [1, 3])
def test_a_scripted_fault_is_seen_in_time_and_capture_goes_on_within_a_minute(kind: str, shots: int) -> None:
    camera, clock = supervisor({"kind": kind, "after_shots": 3, "shots": shots})
    interval_s = 10.0
    outcomes = run(camera, clock, 3, interval_s)
    assert outcomes == ["frame"] * 3
    began_s = clock.monotonic()
    with pytest.raises(CameraError):
        shoot(camera, clock)
    assert clock.monotonic() - began_s <= 10
    while camera.state.word != "ok":
        clock.advance(max(0.0, (camera.next_attempt_s() or 0.0) - clock.monotonic()))
        camera.tend()
    assert clock.monotonic() - began_s <= 60
    assert shoot(camera, clock).jpeg
    steps = camera.take_steps()
    assert isinstance(steps[-1], CameraRecovered)
    assert all(isinstance(step, RecoveryStep) for step in steps[:-1])


def test_a_fault_that_repeats_is_recovered_each_time() -> None:
    camera, clock = supervisor({"kind": "stall", "after_shots": 5, "shots": 1, "every": 20})
    outcomes = run(camera, clock, 60)
    assert outcomes.count("frame") >= 56
    assert "CAM-005" in outcomes
    assert camera.state.word == "ok"
