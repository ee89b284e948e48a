"""Errors: one class, one code; each says what it is and what to do."""

from __future__ import annotations

import re

import pytest

from node.domain.errors import EXIT_CODES, REGISTRY, CameraFault, DocumentInvalid, FieldFault, HeliographError


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=REGISTRY.keys())
def test_every_error_has_code_title_hint_and_known_exits(kind: type[HeliographError]) -> None:
    assert re.fullmatch(r"(CAP|CAM|CFG|DSK|JOB|REN|ARC|DB|API|FLT|QUA|TIM|WEA|SEC|CLI)-\d{3}", kind.code)
    assert kind.title == kind.title.strip(" .") != ""
    assert len(kind.hint) > 10
    assert kind.exit in EXIT_CODES
    assert 400 <= kind.http < 600


def test_a_reused_code_fails_at_import() -> None:
    with pytest.raises(TypeError, match="CAM-004 is the code of CameraFault"):
        type("Other", (HeliographError,), {"code": CameraFault.code})
    assert REGISTRY["CAM-004"] is CameraFault


def test_a_class_without_a_code_of_its_own_is_an_area_and_not_registered() -> None:
    class Area(CameraFault):
        pass

    assert REGISTRY["CAM-004"] is CameraFault
    assert Area.code == "CAM-004"


def test_an_error_says_code_title_detail_fields_and_hint() -> None:
    error = DocumentInvalid("from the console", fields=[FieldFault("site.timezone", "is unknown", "'x'")])
    assert error.lines() == [
        "CFG-001 configuration document is invalid: from the console",
        "  site.timezone: is unknown",
        f"  hint: {DocumentInvalid.hint}",
    ]
    assert str(CameraFault()) == "CAM-004 camera reported a fault"
