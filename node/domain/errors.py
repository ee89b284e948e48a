"""Every error of the product: one class, one code, one title, one hint.

The API's problem bodies, the commands' last line, docs/codes.md and the console's text come from here.
`transient` alone decides whether a caller tries again; nobody parses messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

OK, FAULT, USAGE, UNAVAILABLE, INTERNAL, TRY_AGAIN, REFUSED, CONFIGURATION = 0, 1, 64, 69, 70, 75, 77, 78

EXIT_CODES = {
    OK: "done",
    FAULT: "fault found (status: warn 1, crit or unreachable 2)",
    USAGE: "the command line is wrong",
    UNAVAILABLE: "something needed is not there",
    INTERNAL: "internal error",
    TRY_AGAIN: "try again, the data directory is held",
    REFUSED: "refused",
    CONFIGURATION: "configuration is wrong",
}

FaultKind = Literal["unknown_field", "missing", "wrong_value"]
REGISTRY: dict[str, type[HeliographError]] = {}


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One wrong field: its dotted path, what is wrong, and what was given; and of which kind the fault is.

    `unknown_field`: this release has no such field, though a newer one may.
    """

    path: str
    message: str
    given: str = ""
    kind: FaultKind = "wrong_value"


class HeliographError(Exception):
    """The base of every error that the product raises on purpose."""

    code: ClassVar[str] = ""
    title: ClassVar[str] = ""
    hint: ClassVar[str] = ""
    transient: ClassVar[bool] = False
    http: ClassVar[int] = 500
    exit: ClassVar[int] = INTERNAL

    def __init__(self, detail: str = "", *, fields: Sequence[FieldFault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = tuple(fields)

    def __init_subclass__(cls) -> None:
        if not cls.__dict__.get("code"):
            return  # an area's base class, never raised itself
        if cls.code in REGISTRY:
            message = f"{cls.code} is the code of {REGISTRY[cls.code].__name__}, not also of {cls.__name__}"
            raise TypeError(message)
        REGISTRY[cls.code] = cls

    def __str__(self) -> str:
        return f"{self.code} {self.title}" + (f": {self.detail}" if self.detail else "")

    def lines(self) -> list[str]:
        """What a command prints: the error, every wrong field, the hint."""
        faults = [f"  {fault.path}: {fault.message}" for fault in self.fields]
        return [str(self), *faults, f"  hint: {self.hint}"]


# --- camera -----------------------------------------------------------------------------------------------------


class CameraError(HeliographError):
    http = 503
    exit = UNAVAILABLE


class CameraBusy(CameraError):
    code = "CAM-001"
    title = "camera is in use by another program"
    hint = "find the program that holds the device (fuser -v /dev/video*) and stop it"
    transient = True


class CameraAbsent(CameraError):
    code = "CAM-002"
    title = "camera is not there"
    hint = "check the cable, and the backend and source of this camera in node.yml"
    transient = True


class CameraNoMemory(CameraError):
    code = "CAM-003"
    title = "camera could not allocate its buffers"
    hint = "lower the picture size, or give the camera more contiguous memory (CMA)"
    transient = True


class CameraFault(CameraError):
    code = "CAM-004"
    title = "camera reported a fault"
    hint = "the node recovers by itself; if it repeats, check cable and power"
    transient = True


class CameraTimeout(CameraError):
    code = "CAM-005"
    title = "camera did not answer in time"
    hint = "the node reopens the camera, then restarts its worker; if it repeats, check cable and power"
    transient = True


class CameraMismatch(CameraError):
    code = "CAM-006"
    title = "camera cannot do what its settings ask for"
    hint = "compare the camera's section of the document with GET /v1/cameras"
    exit = CONFIGURATION


class CameraLost(CameraError):
    code = "CAM-007"
    title = "camera worker ended"
    hint = "the node starts a new worker by itself; look at the log for the worker's last words"
    transient = True


class CameraOffline(CameraError):
    code = "CAM-008"
    title = "camera is offline"
    hint = "recovery goes on by itself; POST /v1/cameras/{camera}/restart tries at once"
    transient = True


class UnknownCamera(HeliographError):
    code = "CAM-009"
    title = "no such camera on this node"
    hint = "cameras are named in node.yml; GET /v1/cameras lists them"
    http = 404
    exit = USAGE


class ReplayEmpty(CameraError):
    code = "CAM-010"
    title = "replay folder holds no pictures"
    hint = "put JPEG files into the folder that node.yml names for this camera, or name another"
    exit = UNAVAILABLE


# --- configuration ----------------------------------------------------------------------------------------------


class ConfigError(HeliographError):
    exit = CONFIGURATION


class DocumentInvalid(ConfigError):
    code = "CFG-001"
    title = "configuration document is invalid"
    hint = "mend the fields named; docs/config.example.yml explains each one"
    http = 422


class NodeFileInvalid(ConfigError):
    code = "CFG-002"
    title = "node.yml is invalid"
    hint = "mend the fields named; docs/node.example.yml explains each one"


class ConfigFileMissing(ConfigError):
    code = "CFG-003"
    title = "configuration file cannot be read"
    hint = "give the right path, or make the file readable for this user"


class NotYaml(ConfigError):
    code = "CFG-004"
    title = "configuration file is not YAML"
    hint = "mend the line named"


class VersionMoved(ConfigError):
    code = "CFG-005"
    title = "configuration has moved on since it was read"
    hint = "read it again (GET /v1/config), repeat the change, and send its ETag in If-Match"
    http = 412
    exit = REFUSED


class VersionRequired(ConfigError):
    code = "CFG-006"
    title = "If-Match is missing"
    hint = "send the ETag of the configuration that the change was made from"
    http = 428
    exit = REFUSED


class UnknownVersion(ConfigError):
    code = "CFG-007"
    title = "no such configuration version"
    hint = "GET /v1/config/history lists the versions kept"
    http = 404
    exit = USAGE


class ProbationRunning(ConfigError):
    code = "CFG-008"
    title = "a configuration is still on probation"
    hint = "wait for config_confirmed or config_rolled_back, or roll back with POST /v1/config/rollback"
    transient = True
    http = 409
    exit = TRY_AGAIN


class NothingToRollBack(ConfigError):
    code = "CFG-009"
    title = "there is no earlier configuration to go back to"
    hint = "PUT the document that you want"
    http = 409
    exit = REFUSED


class CredentialMissing(ConfigError):
    code = "CFG-010"
    title = "a credential that node.yml names is not there"
    hint = "give it to the unit: LoadCredential=NAME:FILE; `systemctl show -p LoadCredential UNIT` lists what it gets"


class LeaseHeld(ConfigError):
    """`holder` says who has it: owner, message, until."""

    code = "CFG-011"
    title = "somebody else is changing this node: its lease is held"
    hint = "wait until it ends; GET /v1/lease says whose it is, `heliograph-node lease release --force` ends it"
    transient = True
    http = 409
    exit = TRY_AGAIN

    def __init__(
        self, detail: str = "", *, fields: Sequence[FieldFault] = (), holder: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail, fields=fields)
        self.holder = dict(holder or {})


class LeaseGone(ConfigError):
    code = "CFG-012"
    title = "that lease is not held any more"
    hint = "it has ended, or was released; look at what the node runs before you take it again"
    http = 409
    exit = REFUSED


class LeaseBusy(ConfigError):
    code = "CFG-013"
    title = "the lease is being changed by another process"
    hint = "try again; where it goes on, find who has lock-lease open (fuser -v FILE)"
    transient = True
    http = 503
    exit = TRY_AGAIN


# --- disk -------------------------------------------------------------------------------------------------------


class DiskError(HeliographError):
    http = 503
    exit = UNAVAILABLE


class DiskFull(DiskError):
    code = "DSK-001"
    title = "no room on the data disk"
    hint = "free space below the data directory; capture goes on by itself"
    transient = True


class DiskReadOnly(DiskError):
    code = "DSK-002"
    title = "data directory cannot be written"
    hint = "check mount options and owner of the data directory"
    transient = True


class DirectoryHeld(DiskError):
    code = "DSK-003"
    title = "data directory is in use"
    hint = "be root or the service's user, or give --token-file, to ask the running service; or stop it first"
    transient = True
    http = 409
    exit = TRY_AGAIN


class DirectoryMissing(DiskError):
    code = "DSK-004"
    title = "folder does not exist or cannot be entered"
    hint = "make the folder, or mend its path in node.yml"
    exit = CONFIGURATION


class FrameMissing(DiskError):
    code = "DSK-005"
    title = "frame's file is not on this node"
    hint = "`heliograph-node rebuild` compares files and rows"
    http = 404


class SidecarUnknown(DiskError):
    code = "DSK-006"
    title = "frame's sidecar cannot be read"
    hint = "a newer release wrote it: run `heliograph-node rebuild` of that release"
    exit = FAULT


class FrameReclaimed(DiskError):
    code = "DSK-007"
    title = "frame was reclaimed from this node"
    hint = "it is in the archive: `heliograph-node restore-frames` brings it back"
    http = 410
    exit = FAULT


class FrameAltered(DiskError):
    code = "DSK-008"
    title = "file on this node is not what was kept"
    hint = "check the disk; an archive target that holds the frame brings it back"
    exit = FAULT


# --- database ---------------------------------------------------------------------------------------------------


class DatabaseError(HeliographError):
    http = 503
    exit = UNAVAILABLE


class DatabaseBusy(DatabaseError):
    code = "DB-001"
    title = "database did not take the write in time"
    hint = "another process holds the write lock, or the disk is slow; it is tried again"
    transient = True


class DatabaseDamaged(DatabaseError):
    code = "DB-002"
    title = "database is damaged"
    hint = "restart the service: it restores the newest backup and makes rows of all frames since"


class SchemaNewer(DatabaseError):
    code = "DB-003"
    title = "database was written by a newer release"
    hint = "run that release, or restore the backup made before its migration"
    exit = CONFIGURATION


class DatabaseMissing(DatabaseError):
    code = "DB-004"
    title = "database is not there yet, or of another schema than this release's"
    hint = "`heliograph-node run` makes it and brings it up to date; start that first"
    transient = True
    exit = TRY_AGAIN


class BackupUnusable(DatabaseError):
    code = "DB-005"
    title = "backup cannot be used"
    hint = "name another backup; `ls -l` of the backup folder shows them, newest last"
    exit = FAULT


# --- jobs -------------------------------------------------------------------------------------------------------


class JobError(HeliographError):
    http = 409
    exit = REFUSED


class UnknownKind(JobError):
    code = "JOB-001"
    title = "no such kind of job"
    hint = "docs/node.md lists the kinds"
    http = 422
    exit = USAGE


class PayloadInvalid(JobError):
    code = "JOB-002"
    title = "job's payload is invalid"
    hint = "mend the fields named"
    http = 422
    exit = USAGE


class UnknownJob(JobError):
    code = "JOB-003"
    title = "no such job"
    hint = "GET /v1/jobs lists them; finished ones are forgotten after retention.jobs_days"
    http = 404
    exit = USAGE


class MoveIllegal(JobError):
    code = "JOB-004"
    title = "job is not in a state for that"
    hint = "only a waiting or running job can be cancelled, only a dead one redriven or discarded"


class LeaseLost(JobError):
    code = "JOB-005"
    title = "job belongs to another attempt by now"
    hint = "nothing to do: the newer attempt counts"


class JobCancelled(JobError):
    code = "JOB-006"
    title = "job was cancelled"
    hint = "ask for it again if it is still wanted"


class JobTimeout(JobError):
    code = "JOB-007"
    title = "job took too long, or stood still"
    hint = "the log names the step; if it repeats, give the machine less to do or the job fewer frames"
    transient = True


class WorkerLost(JobError):
    code = "JOB-008"
    title = "the worker ended in the middle of the job"
    hint = "it was killed or had no memory left; the journal of the unit says which"
    transient = True


class WorkerHeld(JobError):
    code = "JOB-009"
    title = "another worker does these jobs already"
    hint = "the lock file names its pid; stop it first"
    transient = True
    exit = TRY_AGAIN


class WorkerSilent(JobError):
    code = "JOB-010"
    title = "the process that does such jobs does not run"
    hint = "the job stays in the queue; start `heliograph-node work` or `ship`, the detail says which"
    transient = True
    exit = TRY_AGAIN


class JobDiffers(JobError):
    code = "JOB-011"
    title = "a job with other wishes is at work on that"
    hint = "wait until it has ended, or cancel it; then ask again"


# --- rendering --------------------------------------------------------------------------------------------------


class RenderError(HeliographError):
    http = 503
    exit = FAULT


class NoFrames(RenderError):
    code = "REN-001"
    title = "too few usable frames for a video"
    hint = "the result names the frames left out; render.min_frames says how many are needed"
    http = 422


class CodecUnknown(RenderError):
    code = "REN-002"
    title = "this machine cannot encode that codec"
    hint = "choose h264"
    http = 422
    exit = CONFIGURATION


class MemoryShort(RenderError):
    code = "REN-003"
    title = "not enough free memory for a video of that size"
    hint = "lower render.max_width, or wait until other work is done"
    transient = True


class EncoderFailed(RenderError):
    code = "REN-004"
    title = "encoder failed"
    hint = "it is tried again; the log has its last words"
    transient = True


class VideoWrong(RenderError):
    code = "REN-005"
    title = "video is not what was asked for"
    hint = "it was thrown away and is made again; the older video stays"
    transient = True


class VideoMissing(RenderError):
    code = "REN-006"
    title = "video's file is not on this node"
    hint = "render it again: POST /v1/videos"
    http = 404


# --- archive ----------------------------------------------------------------------------------------------------


class ArchiveError(HeliographError):
    http = 503
    exit = UNAVAILABLE


class TargetUnavailable(ArchiveError):
    code = "ARC-001"
    title = "archive target cannot be reached"
    hint = "check mount or network; it is tried again by itself"
    transient = True


class MarkerMissing(ArchiveError):
    code = "ARC-002"
    title = "archive target carries no marker file"
    hint = "mount it; on first use run `heliograph-node archive init`"
    transient = True


class TargetRefused(ArchiveError):
    code = "ARC-003"
    title = "archive target refuses this node"
    hint = "check user, key and known_hosts of the target in node.yml"
    transient = True


class TargetFull(ArchiveError):
    code = "ARC-004"
    title = "archive target has no room"
    hint = "make room there; sending goes on by itself"
    transient = True


class ReceiptRefused(ArchiveError):
    code = "ARC-005"
    title = "target does not hold what was sent"
    hint = "its storage or network is broken: nothing is deleted here; look at the target before anything else"
    transient = True


class SameDevice(ArchiveError):
    code = "ARC-006"
    title = "archive target lies on the frames' own file system"
    hint = "it would be lost with them: mount another disk or share there"
    exit = CONFIGURATION


class UnknownTarget(ArchiveError):
    code = "ARC-007"
    title = "no such archive target"
    hint = "targets are named in node.yml; GET /v1/targets lists them"
    http = 404
    exit = USAGE


class NotArchived(ArchiveError):
    code = "ARC-008"
    title = "target holds no such frame"
    hint = "GET /v1/frames/{frame}/archive says which targets do"
    http = 404
    exit = FAULT


# --- API --------------------------------------------------------------------------------------------------------


class ApiError(HeliographError):
    http = 400
    exit = USAGE


class NotAuthenticated(ApiError):
    code = "API-001"
    title = "no valid token or certificate"
    hint = "send `Authorization: Bearer TOKEN`, or connect with a client certificate of the fleet's authority"
    http = 401
    exit = REFUSED


class NotAllowed(ApiError):
    code = "API-002"
    title = "this role may not do that"
    hint = "use a token or certificate of the role that the route needs (docs/openapi.json names it)"
    http = 403
    exit = REFUSED


class NotFound(ApiError):
    code = "API-003"
    title = "no such resource"
    hint = "check the path; /v1/openapi.json lists every route"
    http = 404


class RequestInvalid(ApiError):
    code = "API-004"
    title = "request is invalid"
    hint = "mend the parameters named"
    http = 422


class BodyTooLarge(ApiError):
    code = "API-005"
    title = "request body is too large"
    hint = "bodies are limited to api.body_limit_bytes of the document"
    http = 413


class TooManyRequests(ApiError):
    code = "API-006"
    title = "too many requests from this client"
    hint = "wait for the seconds in Retry-After"
    transient = True
    http = 429
    exit = TRY_AGAIN


class StreamsFull(ApiError):
    code = "API-007"
    title = "all event streams are taken"
    hint = "wait for the seconds in Retry-After, or poll GET /v1/status"
    transient = True
    http = 503
    exit = TRY_AGAIN


class MethodNotAllowed(ApiError):
    code = "API-008"
    title = "this path does not take that method"
    hint = "the Allow header names the methods"
    http = 405


class RangeInvalid(ApiError):
    code = "API-009"
    title = "range cannot be served"
    hint = "ask for one range inside the size that Content-Range names"
    http = 416


class MediaTypeWrong(ApiError):
    code = "API-010"
    title = "body is not of a type this route takes"
    hint = "send application/json, or application/yaml for a configuration document"
    http = 415


class KeyReused(ApiError):
    code = "API-011"
    title = "idempotency key was used for another request"
    hint = "make a new Idempotency-Key for a new action"
    http = 409
    exit = REFUSED


class TimedOut(ApiError):
    code = "API-012"
    title = "request took too long"
    hint = "wait for the seconds in Retry-After and ask for less"
    transient = True
    http = 503
    exit = TRY_AGAIN


class InternalError(ApiError):
    code = "API-013"
    title = "internal error"
    hint = "look up the request id in the node's log"
    http = 500
    exit = INTERNAL


class PortTaken(ApiError):
    code = "API-014"
    title = "port is in use"
    hint = "stop the program named, or choose another api.port in node.yml"
    exit = UNAVAILABLE


class NotReady(ApiError):
    code = "API-015"
    title = "node is not ready"
    hint = "the reasons name what is missing; GET /health/deep says more"
    transient = True
    http = 503
    exit = UNAVAILABLE


class ServiceUnreachable(ApiError):
    code = "API-016"
    title = "the running service does not answer"
    hint = "check that it runs, and that the token has the operator role"
    transient = True
    exit = UNAVAILABLE


class RequestMalformed(ApiError):
    code = "API-017"
    title = "request is not HTTP as this node speaks it"
    hint = "use an HTTP/1.1 client; heads are limited to 64 KB and ten seconds"
    http = 400


class StillRunning(ApiError):
    code = "API-018"
    title = "action takes long and goes on"
    hint = "do not ask for it anew: ask again under its Idempotency-Key, or look it up under its camera"
    transient = True
    http = 503
    exit = TRY_AGAIN


# --- quality, time, security ------------------------------------------------------------------------------------


class PictureUnreadable(HeliographError):
    code = "QUA-001"
    title = "picture cannot be read"
    hint = "give an existing file that this user may read"
    http = 422
    exit = FAULT


class JudgeFailed(HeliographError):
    code = "QUA-002"
    title = "a check of the judge failed"
    hint = "the frame is kept as unjudged; report this line with the frame's file"


class BaselineDamaged(HeliographError):
    code = "QUA-003"
    title = "a camera's baseline cannot be read"
    hint = "the judge begins again and leans to good until it knows the camera; check the disk if it repeats"


class SiteUnknown(ConfigError):
    code = "TIM-001"
    title = "sun times need the site's coordinates"
    hint = "give site.latitude, site.longitude and site.timezone in the document"
    http = 422


class InsecureBind(HeliographError):
    code = "SEC-001"
    title = "plain HTTP is refused here"
    hint = "give api.tls in node.yml, or bind to 127.0.0.1 with api.insecure_loopback: true"
    exit = CONFIGURATION


class TlsUnusable(HeliographError):
    code = "SEC-002"
    title = "TLS files cannot be used"
    hint = "check paths, owner and content of the files of api.tls, and that key and certificate belong together"
    exit = CONFIGURATION


class CertificateRevoked(ApiError):
    code = "SEC-003"
    title = "client certificate has been revoked"
    hint = "make a new one: `heliograph pki console NAME --role ROLE`"
    http = 401
    exit = REFUSED


class CertificateUnfit(ApiError):
    code = "SEC-004"
    title = "client certificate gives no role here"
    hint = "use a console's certificate: a common name, and one of the roles viewer, operator and admin"
    http = 401
    exit = REFUSED


class CertificateForeign(HeliographError):
    code = "SEC-005"
    title = "client certificate is not of this fleet, or out of its time"
    hint = "if that console is yours, give it a certificate of this fleet: `heliograph pki console NAME --role ROLE`"
    exit = REFUSED


class HandshakeWrong(HeliographError):
    code = "SEC-006"
    title = "a client speaks no TLS, or none that is spoken here"
    hint = "ask over https, with TLS 1.2 or newer; where you know of no such client, look at who it is"
    exit = REFUSED


# --- fleet ------------------------------------------------------------------------------------------------------


class FleetError(HeliographError):
    exit = UNAVAILABLE


class InventoryUnreadable(FleetError):
    code = "FLT-001"
    title = "inventory cannot be read"
    hint = "name an inventory with -i FILE; `ansible-inventory -i FILE --list` says what Ansible makes of it"
    exit = CONFIGURATION


class NodeUnreachable(FleetError):
    code = "FLT-002"
    title = "node does not answer"
    hint = "check address, port and network of the node"
    transient = True

    def __init__(self, detail: str = "", *, sent: bool = True) -> None:
        """`sent`: what it was asked may have reached it."""
        super().__init__(detail)
        self.sent = sent


class NodeAnswerWrong(FleetError):
    code = "FLT-003"
    title = "node's answer cannot be understood"
    hint = "check that the address is a Heliograph node and compare versions"


class NodeRefused(FleetError):
    code = "FLT-004"
    title = "node refuses this console"
    hint = "check what heliograph_client_cert_file and heliograph_token_file of that host hold, and which role that is"
    exit = REFUSED


class NodeNeverReady(FleetError):
    code = "FLT-005"
    title = "a demo node never became ready"
    hint = "its last log lines are above; try again with fewer nodes"
    exit = FAULT


class ProgramMissing(FleetError):
    code = "FLT-006"
    title = "a program is missing"
    hint = "install what is named; `make deps` brings all of packages.txt"


class InventoryWrong(FleetError):
    code = "FLT-007"
    title = "inventory names a node wrongly"
    hint = "mend the host variables named"
    exit = CONFIGURATION


class PhotographsUnusable(FleetError):
    code = "FLT-008"
    title = "folder of photographs cannot be used"
    hint = "give --frames a folder with photographs in it; without --frames the demo makes its own sky"
    exit = USAGE


class ConsoleFileUnusable(FleetError):
    code = "FLT-009"
    title = "token or certificate file of this console cannot be used"
    hint = "mend the file named, or the variable of that host in the inventory that names it"
    exit = CONFIGURATION


class OrderRefused(FleetError):
    """The node understood and said no: `theirs`, `about`, `said`, `advice` are its own code, title, detail and hint.

    `fields` are all that it named.
    """

    code = "FLT-010"
    title = "node refuses what was asked of it"
    hint = "the detail has the node's own code and words; docs/codes.md lists them"
    exit = REFUSED

    def __init__(
        self, theirs: str, about: str = "", detail: str = "", advice: str = "", *, fields: Sequence[FieldFault] = ()
    ) -> None:
        super().__init__(": ".join(filter(None, (f"{theirs} {about}".strip(), detail))), fields=fields)
        self.theirs, self.about, self.said, self.advice = theirs, about, detail, advice

    def lines(self) -> list[str]:
        return [str(self), f"  hint: {self.advice or self.hint}"]


class NothingSelected(FleetError):
    code = "FLT-011"
    title = "nothing is selected"
    hint = "`heliograph status` lists nodes, `jobs` jobs, `alerts` alerts; /./ selects every node"
    exit = USAGE


class NotConfirmed(FleetError):
    code = "FLT-012"
    title = "nothing was done: it was not confirmed"
    hint = "--yes confirms beforehand, --dry-run prints the plan only"
    exit = REFUSED


class PictureWrong(FleetError):
    code = "FLT-013"
    title = "picture that arrived is not the one kept"
    hint = "fetch it again; if it repeats, look at DSK-008 on that node"
    exit = FAULT


class ConsoleSettingsWrong(FleetError):
    code = "FLT-014"
    title = "settings of this console are wrong"
    hint = "mend the fields named; without the file the defaults hold, and `heliograph settings` then prints them all"
    exit = CONFIGURATION


class RecordingUnusable(FleetError):
    code = "FLT-015"
    title = "recording cannot be used"
    hint = "name a file that this release or an older one recorded; a new recording needs a path where nothing stands"
    exit = USAGE


class StateNotSaved(FleetError):
    code = "FLT-016"
    title = "state of this console cannot be saved"
    hint = "mend the folder that the detail names, or name another as state_dir in the settings"


class FileNotWritten(FleetError):
    code = "FLT-017"
    title = "file cannot be written here"
    hint = "name another place with --to, or make room"


class NoTerminal(FleetError):
    code = "FLT-018"
    title = "there is no terminal to draw on"
    hint = "over ssh use `ssh -t`; `heliograph status` and `heliograph watch` need no terminal"
    exit = USAGE


class NodeUntrusted(FleetError):
    """What answers at the node's address cannot prove to be that node: nothing was asked of it."""


class NodeCertificateExpired(NodeUntrusted):
    code = "FLT-019"
    title = "node's certificate has expired"
    hint = "renew it: playbooks/rotate_certs.yml with --limit NODE; where it is new, the clock of this machine is ahead"


class NodeCertificateEarly(NodeUntrusted):
    code = "FLT-020"
    title = "node's certificate is not valid yet"
    hint = "set the clock of this machine; `timedatectl` tells what it takes for now"


class NodeCertificateForeign(NodeUntrusted):
    code = "FLT-021"
    title = "node's certificate is not this fleet's"
    hint = (
        "check what answers at that address; heliograph_ca_file names the authority that signs the nodes' certificates"
    )


class NodeCertificateMisnamed(NodeUntrusted):
    code = "FLT-022"
    title = "certificate at this address is for another name"
    hint = "check ansible_host; heliograph_tls_name is the name that it is certified under, by default that of the node"


class ConsoleCertificateRefused(NodeRefused):
    code = "FLT-023"
    title = "node refuses this console's certificate"
    hint = "make a new one: `heliograph pki console NAME --role ROLE`; where it is new, check the clock of the node"


class ProxyUnreachable(NodeUnreachable):
    code = "FLT-024"
    title = "proxy to the node does not answer"
    hint = "open it: `ssh -N -D PORT JUMPHOST`; heliograph_proxy of that host names it"


class AuthorityUnusable(FleetError):
    code = "FLT-025"
    title = "fleet's certificate authority cannot be used"
    hint = "do what the detail says; `heliograph pki init` makes what is missing and leaves what is there"
    exit = CONFIGURATION


class RequestUnfit(FleetError):
    code = "FLT-026"
    title = "request is not certified"
    hint = "a node asks for itself alone, under its inventory name, with a fresh key; the role pki does it so"
    exit = REFUSED


class NameTaken(FleetError):
    code = "FLT-027"
    title = "certificate in force stands against it"
    hint = "`heliograph pki show` lists all in force, `heliograph pki revoke NAME` ends one"
    exit = REFUSED


class CertificateUnknown(FleetError):
    code = "FLT-028"
    title = "no such certificate"
    hint = "`heliograph pki show` lists all in force; issued.jsonl, beside the authority, all that ever were"
    exit = USAGE


class ClockDoubted(FleetError):
    code = "FLT-029"
    title = "clock of this machine cannot be right"
    hint = "set it (`timedatectl`) and try again: certificates are good by it"
    exit = CONFIGURATION


class NodeCertificateRevoked(NodeUntrusted):
    code = "FLT-030"
    title = "node's certificate is revoked"
    hint = "where the node is yours still: playbooks/rotate_certs.yml with --limit NODE; else look what answers there"


class WantedWrong(FleetError):
    code = "FLT-031"
    title = "inventory wants a document that no node can run"
    hint = "mend the variables heliograph_config_* of the nodes named; docs/config.example.yml explains each field"
    exit = CONFIGURATION


class NothingToResume(FleetError):
    code = "FLT-032"
    title = "there is no push to resume"
    hint = "begin one with `heliograph push SELECTOR`: it leaves alone what runs its document already"
    exit = USAGE


class NodesHeld(FleetError):
    code = "FLT-033"
    title = "another run holds nodes"
    hint = "wait until it has ended; where it died, its hold on them ends at the time named"
    transient = True
    exit = TRY_AGAIN


class PlaybookUnusable(FleetError):
    code = "FLT-034"
    title = "playbook cannot be run here"
    hint = "do what the detail says; `ansible-playbook --syntax-check playbooks/NAME.yml` says what Ansible makes of it"
    exit = CONFIGURATION


class RolloutUnfit(FleetError):
    code = "FLT-035"
    title = "there is no such rollout for that"
    hint = "`heliograph rollout --list` names those that are kept, and how each ended"
    exit = USAGE


class UsageWrong(HeliographError):
    code = "CLI-001"
    title = "command line is wrong"
    hint = "--help lists commands and options"
    exit = USAGE
