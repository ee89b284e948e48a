"""The processor's temperature among what a machine offers."""

from __future__ import annotations

from pathlib import Path

from node.host import thermal


def _zone(folder: Path, number: int, kind: str | None, value: str | None) -> None:
    zone = folder / f"thermal_zone{number}"
    zone.mkdir()
    if kind is not None:
        (zone / "type").write_text(kind + "\n")
    if value is not None:
        (zone / "temp").write_text(value + "\n")


def test_a_pi_says_its_processors(tmp_path: Path) -> None:
    _zone(tmp_path, 0, "cpu-thermal", "48312")
    assert thermal.temperature_c(tmp_path) == 48.312


def test_the_processor_goes_before_a_hotter_other_zone(tmp_path: Path) -> None:
    _zone(tmp_path, 0, "iwlwifi_1", "90000")
    _zone(tmp_path, 1, "x86_pkg_temp", "60000")
    assert thermal.temperature_c(tmp_path) == 60.0


def test_without_a_known_zone_the_hottest_counts(tmp_path: Path) -> None:
    _zone(tmp_path, 0, "left", "40000")
    _zone(tmp_path, 1, None, "41000")
    assert thermal.temperature_c(tmp_path) == 41.0


def test_a_zone_that_refuses_or_answers_nonsense_is_passed_over(tmp_path: Path) -> None:
    _zone(tmp_path, 0, "cpu-thermal", None)
    _zone(tmp_path, 1, "soc-thermal", "asleep")
    _zone(tmp_path, 2, "acpitz", "-274000")
    assert thermal.temperature_c(tmp_path) is None


def test_a_machine_without_zones_has_none(tmp_path: Path) -> None:
    assert thermal.temperature_c(tmp_path / "absent") is None
