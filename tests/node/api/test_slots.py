from __future__ import annotations

from node.store import videos
from node.wire.records import DayRecord, Page, ShootRecord, SlotRecord
from tests.apis import Served, fill, keep_video


def slots(api: Served, path: str) -> Page[SlotRecord]:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    return Page[SlotRecord].model_validate_json(answer.content)


def test_every_slot_is_a_frame_or_a_gap_with_its_reason_in_words(api: Served) -> None:
    frames = fill(api.store, 2)
    found = slots(api, "/v1/slots").items
    assert len(found) == 6
    assert [slot.due for slot in found] == sorted((slot.due for slot in found), reverse=True)
    assert {slot.frame for slot in found if slot.frame} == {frame.id for frame in frames}
    gap = next(slot for slot in found if slot.reason)
    assert (gap.frame, gap.reason, gap.error_code, gap.fault) == (None, "timeout", "CAM-005", True)
    assert gap.sentence == "The camera did not deliver within the shot's deadline."


def test_slots_are_paged_by_key(api: Served) -> None:
    fill(api.store, 4)
    for path in ("/v1/slots?limit=5", "/v1/slots?limit=3&camera=main", "/v1/gaps?limit=1"):
        whole = slots(api, path.replace("limit=", "limit=50")).items
        seen, cursor = [], ""
        while cursor is not None:
            page = slots(api, path + (f"&cursor={cursor}" if cursor else ""))
            seen += page.items
            cursor = page.next
        assert tuple(seen) == whole


def test_gaps_are_chosen_by_reason_and_time(api: Served) -> None:
    fill(api.store, 3)
    found = slots(api, "/v1/gaps").items
    assert len(found) == len(slots(api, "/v1/gaps?reason=timeout&camera=main&profile=auto").items) == 3
    assert slots(api, "/v1/gaps?reason=busy").items == ()
    assert slots(api, f"/v1/gaps?from={found[1].due}&to={found[0].due}").items == (found[1],)
    assert api.get("/v1/gaps?reason=boredom").status_code == 422
    assert api.get("/v1/slots?reason=timeout").status_code == 422


def test_days_say_expected_against_actual(api: Served) -> None:
    fill(api.store, 2)
    page = Page[DayRecord].model_validate_json(api.get("/v1/days").content)
    main, side = sorted(page.items, key=lambda row: row.camera)
    assert (main.camera, main.day, main.due, main.captured, main.gaps, main.score) == (
        "main", "2026-11-18", 4, 2, 2, 90.0,
    )  # fmt: skip
    assert (side.due, side.captured, side.gaps) == (2, 2, 0)
    assert api.get("/v1/days?from=2026-11-19").json()["items"] == []
    assert len(api.get("/v1/days?from=2026-11-18&to=2026-11-18&camera=side").json()["items"]) == 1
    assert api.get("/v1/days?from=today").status_code == 422


def test_shoots_are_listed_with_their_counts_and_paged(api: Served) -> None:
    now_us = api.clock.now_us()
    for number in range(3):
        api.store.journal.open_shoot(f"main/day{number}/2026-11-18/auto", now_us + number, now_us + 10)
    fill(api.store, 1)
    everything = Page[ShootRecord].model_validate_json(api.get("/v1/shoots").content).items
    assert len(everything) == 5
    first = Page[ShootRecord].model_validate_json(api.get("/v1/shoots?limit=2").content)
    second = Page[ShootRecord].model_validate_json(api.get(f"/v1/shoots?limit=9&cursor={first.next}").content)
    assert (*first.items, *second.items) == everything
    counted = next(shoot for shoot in everything if shoot.shoot == "main/default/2026-11-18/auto")
    assert (counted.state, counted.due, counted.captured, counted.failed) == ("open", 2, 1, 1)
    assert api.get("/v1/shoots?state=captured").json()["items"] == []
    assert len(api.get("/v1/shoots?camera=side&state=open").json()["items"]) == 1


def test_a_shoot_names_the_video_that_it_has_and_its_state(api: Served) -> None:
    fill(api.store, 1)
    shoot = "main/default/2026-11-18/auto"
    old = keep_video(api.store, shoot=shoot)
    api.store.database.write(lambda session: videos.retire(session, old.id, "replaced", 5))
    video = keep_video(api.store, shoot=shoot)
    api.store.database.write(lambda session: session.execute("UPDATE shoots SET state = 'done'"))
    found = Page[ShootRecord].model_validate_json(api.get("/v1/shoots?state=done").content).items
    assert {row.shoot: row.video for row in found} == {shoot: video.id, "side/default/2026-11-18/auto": None}
    for state in ("rendering", "degraded", "failed", "captured", "open"):
        assert api.get(f"/v1/shoots?state={state}").json()["items"] == []
    assert api.get("/v1/shoots?state=lost").status_code == 422
