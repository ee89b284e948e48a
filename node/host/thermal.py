"""The processor's temperature."""

from __future__ import annotations

from pathlib import Path

ZONES = Path("/sys/class/thermal")
PROCESSOR_ZONES = ("cpu-thermal", "cpu_thermal", "x86_pkg_temp", "soc-thermal", "acpitz")  # the best word first
_MILLI = 1000
_LOWEST_C, _HIGHEST_C = -40.0, 150.0  # outside, a driver reports that it has no value


def temperature_c(zones: Path = ZONES) -> float | None:
    """Degrees Celsius of the zone that is most surely the processor, else of the hottest; None = it has none."""
    found = {_name(zone): value for zone in zones.glob("thermal_zone*") if (value := _value(zone)) is not None}
    for name in PROCESSOR_ZONES:
        if name in found:
            return found[name]
    return max(found.values(), default=None)


def _name(zone: Path) -> str:
    try:
        return (zone / "type").read_text().strip()
    except OSError:
        return zone.name


def _value(zone: Path) -> float | None:
    """A zone that is switched off or asleep refuses the read, or answers nonsense."""
    try:
        degrees = int((zone / "temp").read_text()) / _MILLI
    except (OSError, ValueError):
        return None
    return degrees if _LOWEST_C <= degrees <= _HIGHEST_C else None
