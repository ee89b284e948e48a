from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.almanac import Sun
from node.camera.sun import elevation_deg
from node.domain.config import Site
from node.domain.times import from_text


@given(
    at_us=st.integers(from_text("2000-01-01T00:00:00Z"), from_text("2045-01-01T00:00:00Z")),
    latitude=st.floats(-89, 89),
    longitude=st.floats(-180, 180),
)
def test_it_agrees_with_the_almanac(at_us: int, latitude: float, longitude: float) -> None:
    almanac = Sun(Site(latitude=latitude, longitude=longitude)).elevation_deg(at_us)
    assert elevation_deg(at_us, latitude, longitude) == pytest.approx(almanac, abs=0.5)


def test_noon_at_the_equator_at_the_equinox_is_overhead() -> None:
    assert elevation_deg(from_text("2026-03-20T12:07:30Z"), 0.0, 0.0) == pytest.approx(90, abs=0.3)
