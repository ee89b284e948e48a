from __future__ import annotations

from node.wire.records import Page, QualityRecord
from tests.apis import Served, keep_file


def test_each_camera_says_what_it_is_judged_by_and_how_it_went(api: Served) -> None:
    for score, reasons in ((95, ()), (20, ("black",)), (30, ("black", "stuck"))):
        api.store.clock.advance(60)
        keep_file(api.store, None, score=score, reasons=reasons, verdict="good" if score > 50 else "bad")
    main, side = Page[QualityRecord].model_validate_json(api.get("/v1/quality").content).items
    assert (main.camera, main.enabled, main.verdicts, main.reasons) == (
        "main", True, {"bad": 2, "good": 1}, {"black": 2, "stuck": 1},
    )  # fmt: skip
    assert [judged.score for judged in main.recent] == [30, 20, 95]
    assert [(band.band, band.frames, band.cold) for band in main.baseline] == [("auto/day/64x48", 50, False)]
    assert (side.camera, side.recent) == ("side", ())


def test_how_many_verdicts_can_be_chosen(api: Served) -> None:
    for _ in range(3):
        keep_file(api.store, None)
    assert len(api.get("/v1/quality/main?recent=2").json()["recent"]) == 2
    assert api.get("/v1/quality/main?recent=0").status_code == 422
    assert api.get("/v1/quality/gone").json()["code"] == "CAM-009"


def test_what_the_judge_remembers_may_not_be_known_yet(api: Served) -> None:
    api.board.forget("quality/main")
    assert api.get("/v1/quality/main").json()["baseline"] == []
