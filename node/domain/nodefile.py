"""node.yml: what belongs to Ansible (identity, paths, port, TLS, tokens' hashes, camera backends); needs a restart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from node.domain.config import DAY_S, KEY_FILE, NAME, SHA256_HEX, Name, Section
from node.domain.errors import InsecureBind

BIND_FIELDS = frozenset({"api", "api.host", "api.tls", "api.insecure_loopback"})
"""What `check_bind` looks at."""
CREDENTIAL = "credential:"
HOST = r"^[A-Za-z0-9][A-Za-z0-9.:-]*$"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SyntheticFault(Section):
    """A scripted fault of the synthetic camera."""

    kind: Literal[
        "busy", "absent", "stall", "crash", "stale", "black", "magenta", "half_grey", "truncated", "slow", "fault"
    ] = Field(description="What goes wrong.")  # fmt: skip
    after_shots: int = Field(0, ge=0, description="Shots taken well before it begins.")
    shots: int = Field(1, ge=1, description="Shots that it spoils (for crash and absent: openings, too).")
    every: int = Field(0, ge=0, description="Repeat each so many shots; 0 = once.")


class SyntheticCamera(Section):
    """A sky made from the sun's elevation, for demo and tests."""

    backend: Literal["synthetic"]
    width: int = Field(1280, ge=64, le=8192, description="Pixels.")
    height: int = Field(720, ge=48, le=8192, description="Pixels.")
    seed: int = Field(1, ge=0, description="Same seed, same sky.")
    weather: Literal["clear", "cloudy", "fog", "rain", "snow"] = Field("cloudy", description="The weather there.")
    latitude: float = Field(52.5, ge=-90, le=90, description="Degrees north, of the sky shown.")
    longitude: float = Field(13.4, ge=-180, le=180, description="Degrees east, of the sky shown.")
    faults: list[SyntheticFault] = Field(default=[], description="Scripted faults.")


class ReplayCamera(Section):
    """A folder of real photographs, one per shot, in the order of their names, round and round."""

    backend: Literal["replay"]
    folder: str = Field(min_length=1, description="The folder; read again when it changes.")


class OpencvCamera(Section):
    """A USB or network camera through OpenCV."""

    backend: Literal["opencv"]
    source: str = Field(min_length=1, description="/dev/videoN, a number, an rtsp:// or http:// URL, or a video file.")
    open_timeout_s: float = Field(10.0, ge=0.5, le=120, description="Seconds to open it.")
    read_timeout_s: float = Field(5.0, ge=0.5, le=120, description="Seconds for one picture.")


class PicameraCamera(Section):
    """A Raspberry Pi camera through picamera2."""

    backend: Literal["picamera2"]
    number: int = Field(0, ge=0, le=3, description="Number of the camera on this board.")


CameraBackend = Annotated[
    SyntheticCamera | ReplayCamera | OpencvCamera | PicameraCamera, Field(discriminator="backend")
]


class DirectoryTarget(Section):
    """A mounted disk or network share; `heliograph-node archive init` puts a marker file on it once."""

    kind: Literal["directory"]
    path: str = Field(min_length=1, description="The folder; on another file system than the frames.")


class RsyncTarget(Section):
    """A host reached with rsync over SSH."""

    kind: Literal["rsync"]
    host: str = Field(max_length=253, pattern=HOST, description="Its name or address.")
    port: int = Field(22, ge=1, le=65535, description="Its SSH port.")
    user: str = Field("heliograph", pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="Its user.")
    path: str = Field(min_length=1, pattern=r"^/[A-Za-z0-9._/-]*$", description="Absolute folder there.")
    key: str = Field(min_length=1, pattern=KEY_FILE, description="File with the private key, or credential:NAME.")
    known_hosts: str = Field(
        min_length=1, pattern=KEY_FILE, description="File with the host's key, or credential:NAME; others are refused."
    )


ArchiveTarget = Annotated[DirectoryTarget | RsyncTarget, Field(discriminator="kind")]


class NodeIdentity(Section):
    id: str = Field("heliograph", pattern=NAME, description="The inventory's name of this node.")


class Paths(Section):
    data: str = Field("/var/lib/heliograph", min_length=1, description="Data directory; --root moves it.")
    run: str = Field("/run/heliograph", min_length=1, description="Scratch and pulses, on tmpfs.")
    release: str = Field(
        "/var/lib/heliograph-host/release.json",
        min_length=1,
        description="Where the host says how the last change of the release stands; only read.",
    )


class Tls(Section):
    certificate: str = Field(min_length=1, description="PEM file with the node's certificate and its chain.")
    key: str = Field(min_length=1, pattern=KEY_FILE, description="PEM file with its private key, or credential:NAME.")
    client_ca: str | None = Field(
        None, min_length=1, description="PEM file of the authority whose certificates name who asks, and the role."
    )
    revoked: str | None = Field(
        None, min_length=1, description="File with SHA-256 fingerprints of certificates that count no more."
    )


class Token(Section):
    """A bearer token: only its hash is kept."""

    name: Name = Field(description="Whose it is; stands in the audit.")
    role: Literal["viewer", "operator", "admin"] = Field(description="viewer reads, operator acts, admin configures.")
    sha256: str = Field(pattern=SHA256_HEX, description="SHA-256 of the token, in hex.")
    expires_us: int | None = Field(None, ge=0, description="UTC microseconds after which it is refused.")


class ApiBind(Section):
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8460, ge=0, le=65535, description="Port; 0 = any free one, written to the ready file.")
    insecure_loopback: bool = Field(default=False, description="Plain HTTP, on loopback only.")
    tls: Tls | None = Field(None, description="Certificate and key; required off loopback.")
    tokens: list[Token] = Field(default=[], max_length=64, description="Who may do what.")


class Probation(Section):
    """How a changed document proves itself; here, so that no document can excuse itself."""

    good_frames: int = Field(3, ge=1, le=20, description="Good frames that confirm a document.")
    min_s: float = Field(180.0, ge=1, le=DAY_S, description="Seconds it has at least; 4 intervals if that is longer.")


class TimeSource(Section):
    """What keeps the wall clock right."""

    trusted: bool = Field(
        default=False, description="Another means than a time service keeps it right: a virtual machine's host, GPS."
    )


class Simulation(Section):
    """For the demo only: the sun over the synthetic sky runs faster."""

    sun_factor: float = Field(1.0, ge=1, le=3600, description="How many times faster.")
    sun_from_us: int = Field(0, ge=0, description="UTC microseconds from which it does.")


class NodeFile(Section):
    """node.yml, whole."""

    node: NodeIdentity = Field(default=NodeIdentity(), description="Who this is.")
    paths: Paths = Field(default=Paths(), description="Where things are.")
    api: ApiBind = Field(default=ApiBind(), description="How it is reached.")
    cameras: dict[Name, CameraBackend] = Field(
        default={"main": SyntheticCamera(backend="synthetic")},
        max_length=16,
        min_length=1,
        description="Cameras by name.",
    )
    archive: dict[Name, ArchiveTarget] = Field(
        default={}, max_length=8, description="Archive targets by name; how each is used stands in the document."
    )
    clock: TimeSource = Field(default=TimeSource(), description="What keeps the wall clock right.")
    probation: Probation = Field(default=Probation(), description="Proof that a new document owes.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lines below it are not written."
    )
    simulation: Simulation = Field(default=Simulation(), description="Demo only.")

    def replay_folders(self) -> dict[str, str]:
        """The folders of the cameras that replay photographs, by the camera's name."""
        return {name: camera.folder for name, camera in self.cameras.items() if isinstance(camera, ReplayCamera)}


def check_bind(api: ApiBind) -> None:
    """Raises InsecureBind where plain HTTP would leave loopback or was not asked for."""
    if api.tls is not None:
        return
    if not api.insecure_loopback:
        raise InsecureBind("no api.tls, and api.insecure_loopback is not set")
    if api.host not in LOOPBACK:
        raise InsecureBind(f"{api.host} is not loopback")
