"""Whether the node does what is wanted of it: units, release, document, certificate, good frames.

Reads what is wanted (JSON) on standard input; answers {faults: [[what, remedy], ...], waited_s}.  Runs on the host as
root with nothing but Python's own library, through the published API alone: any release can be judged by it.  The
keeper of a release judges by the same looks.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

FAULT = 1
LOOK_S, ANSWER_S = 2.0, 10.0
DAY_S = 86_400
PAGE = 50
FRAME_FIELDS = "id,captured,verdict,score"
PROGRAM = "/opt/heliograph/current/bin/heliograph-node"
SITE = "playbooks/site.yml with --limit NODE"
Json = dict[str, Any]
Fault = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the playbook asks for; an empty text or 0 is not looked at.

    A camera has `least_s`, or `intervals` of its own where that is longer, for its good frames.  `dead` is how many
    dead letters there may be, None = any number; `floors` how low the mean score of a camera's good frames may be.
    """

    name: str
    units: tuple[str, ...] = ()
    version: str = ""
    digest: str = ""
    frames: int = 3
    least_s: float = 180.0
    intervals: int = 4
    ready_s: float = 60.0
    certificate: str = ""
    certificate_days: int = 30
    dead: int | None = None
    floors: Mapping[str, float] = field(default_factory=dict)
    run: str = "/run/heliograph"


class Host(Protocol):
    """What the gate sees of this machine."""

    def monotonic(self) -> float: ...
    def wait(self, seconds: float) -> None: ...
    def unit(self, name: str) -> str: ...
    def get(self, path: str, **query: object) -> Json | None: ...
    def openssl(self, *words: str) -> bool: ...


class Judge:
    """One look after the other until nothing is amiss any more, or its time is over."""

    def __init__(self, wanted: Wanted, host: Host) -> None:
        self._wanted, self._host = wanted, host
        self._began = host.monotonic()

    def judge(self) -> Json:
        """All faults that are left.  What cannot mend itself is not waited for."""
        faults = [*self._certificate(), *self._until(self._wanted.ready_s, self.up)]
        if not faults:
            faults = self._until(self.patience_s(), self.proved)
        return {"faults": faults, "waited_s": round(self._host.monotonic() - self._began)}

    def _until(self, seconds: float, look: Callable[[], Iterator[Fault]]) -> list[Fault]:
        end = self._host.monotonic() + seconds
        while (faults := list(look())) and self._host.monotonic() < end:
            self._host.wait(LOOK_S)
        return faults

    def up(self) -> Iterator[Fault]:
        """Units, and a service that answers and is ready."""
        for unit in self._wanted.units:
            state = self._host.unit(unit)
            if state != "active":
                yield f"unit {unit} is {state}", f"on the host `journalctl -n 50 -u {unit}`"
        status = self._host.get("/v1/status")
        if status is None:
            yield "the service does not answer", "on the host `systemctl status heliograph-node`"
        elif not status["ready"]:
            reasons = ", ".join(status["reasons"] or _troubles(status)) or "it starts"
            yield (
                f"the node is not ready: {reasons}",
                "on the host `sudo /opt/heliograph/current/bin/heliograph-node status`",
            )

    def proved(self) -> Iterator[Fault]:
        """Release, document, dead letters and frames."""
        status = self._host.get("/v1/status")
        if status is None:
            yield "the service stopped answering", "on the host `journalctl -n 50 -u heliograph-node`"
            return
        yield from self._running(status)
        yield from self._dead(status)
        for camera in status["cameras"]:
            yield from self._frames(status, camera)

    def idle(self) -> list[str]:
        """Cameras of which no frame is expected within the time that they have."""
        status = self._host.get("/v1/status") or {"cameras": []}
        return [each["name"] for each in status["cameras"] if _is_expected_idle(status, each, self._time_of(each))]

    def good(self) -> dict[str, int]:
        """Good frames of each camera since the service started, so far as one page shows them."""
        status = self._host.get("/v1/status") or {"cameras": []}
        return {each["name"]: len(self._good(each["name"], status["started"])) for each in status["cameras"]}

    def patience_s(self) -> float:
        """How long the slowest camera has."""
        status = self._host.get("/v1/status") or {"cameras": []}
        return max((self._time_of(camera) for camera in status["cameras"]), default=self._wanted.least_s)

    def _running(self, status: Json) -> Iterator[Fault]:
        wanted, config = self._wanted, status["config"]
        if wanted.version and status["version"] != wanted.version:
            yield f"it runs release {status['version']}, not {wanted.version}", SITE
        if wanted.digest and config["digest"] != wanted.digest:
            said = f"it runs document version {config['version']}, which is not the inventory's"
            yield (
                said,
                "see its events for config_rolled_back and the reason, then playbooks/site.yml with --limit NODE",
            )
        if config["state"] == "probation":
            yield "its document is still on probation", "wait until it has proved itself, then verify again"

    def _dead(self, status: Json) -> Iterator[Fault]:
        dead = (status.get("queue") or {}).get("dead", 0)
        if self._wanted.dead is not None and dead > self._wanted.dead:
            said = f"{dead - self._wanted.dead} jobs more have failed for good"
            yield said, f"`heliograph jobs list {self._wanted.name}` shows them with their errors"

    def _frames(self, status: Json, camera: Json) -> Iterator[Fault]:
        if not self._wanted.frames or _is_expected_idle(status, camera, self._time_of(camera)):
            return
        good = self._good(camera["name"], status["started"])
        shown = f"`heliograph frames {self._wanted.name}` shows them, docs/troubleshooting.md the remedies"
        if len(good) < self._wanted.frames:
            brought = f"brought {len(good)} of {self._wanted.frames} good frames"
            code = f" ({camera['error_code']})" if camera["error_code"] else ""
            yield f"camera {camera['name']} ({camera['state']}) {brought}{code}", shown
            return
        scores, floor = _scores(good), self._wanted.floors.get(camera["name"], 0.0)
        if scores and (mean := sum(scores) / len(scores)) < floor:
            yield f"camera {camera['name']}: quality {mean:.0f}, and was {floor:.0f} and more before", shown

    def _good(self, camera: str, since: str) -> list[Json]:
        """Good frames since the service started."""
        page = self._host.get("/v1/frames", camera=camera, limit=PAGE, fields=FRAME_FIELDS) or {"items": []}
        made = (each for each in page["items"] if each["verdict"] == "good")
        return [each for each in made if _instant(each["captured"]) >= _instant(since)]

    def _time_of(self, camera: Json) -> float:
        return max(self._wanted.least_s, self._wanted.intervals * (camera["interval_s"] or 0))

    def _certificate(self) -> Iterator[Fault]:
        wanted, file = self._wanted, self._wanted.certificate
        remedy = "playbooks/rotate_certs.yml with --limit NODE"
        if not file:
            return
        if not self._host.openssl("x509", "-noout", "-in", file):
            yield f"there is no certificate {file}", SITE
        elif not self._host.openssl("x509", "-noout", "-in", file, "-checkend", str(wanted.certificate_days * DAY_S)):
            yield f"its certificate ends within {wanted.certificate_days} days", remedy


def _is_expected_idle(status: Json, camera: Json, seconds: float) -> bool:
    """Nothing is asked of it, or not within the time that it has."""
    if camera["state"] in ("idle", "disabled") or camera["next_slot"] is None:
        return True
    return (_instant(camera["next_slot"]) - _instant(status["clock"]["now"])).total_seconds() > seconds


def _troubles(status: Json) -> list[str]:
    """What its cameras complain of."""
    bad = (each for each in status["cameras"] if each.get("error_code"))
    return [f"camera {each['name']} {each['state']} ({each['error_code']})" for each in bad]


def _scores(frames: Sequence[Json]) -> list[float]:
    """Of those that have one."""
    return [float(each["score"]) for each in frames if each.get("score") is not None]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- this host ------------------------------------------------------------------------------------------------------


class ThisHost:
    """The service by its own token, which root may read, and by its own certificate."""

    def __init__(self, wanted: Wanted) -> None:
        self._run, self._certificate = Path(wanted.run), wanted.certificate
        # the second is where releases before 0.4.0 have it
        self._tokens = (self._run / "own/local.token", self._run / "local.token")

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def unit(self, name: str) -> str:
        return _said(["systemctl", "show", "--value", "--property=ActiveState", name]).stdout.strip() or "unknown"

    def openssl(self, *words: str) -> bool:
        return _said(["openssl", *words]).returncode == 0

    def get(self, path: str, **query: object) -> Json | None:
        """None where nobody answers, or not with what was asked for."""
        try:
            url = urlsplit(json.loads((self._run / "api.json").read_text())["url"])
            token = next((path for path in self._tokens if path.exists()), self._tokens[0]).read_text()
            return self._asked(self._connection(url.scheme, url.hostname or "", url.port or 0), token, path, query)
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return None

    def _asked(
        self, connection: http.client.HTTPConnection, token: str, path: str, query: Mapping[str, object]
    ) -> Json | None:
        try:
            connection.request("GET", f"{path}?{urlencode(query)}", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        return said if answer.status == http.client.OK else None

    def _connection(self, scheme: str, host: str, port: int) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=ANSWER_S)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the certificate itself is what is compared
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(self._certificate)
        return http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=context)


def _said(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - systemctl and openssl


def main() -> int:
    wanted = Wanted(**json.load(sys.stdin))
    found = Judge(wanted, ThisHost(wanted)).judge()
    sys.stdout.write(json.dumps(found) + "\n")
    return FAULT if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
