"""What vulture takes for dead in node and console, and who uses it.  A test refuses names that are no longer there."""

# read by a library
_.virtual_size  # Textual scrolls by it
_.border_subtitle  # Textual draws it
_.cursor_position  # Textual's input
_.placeholder  # Textual's input
_.total_tokens  # anyio's limit of worker threads
_.should_exit  # uvicorn's main loop
_.handleError  # logging calls it where a line cannot be written
_.format  # logging calls it for each line
_.mtime  # tarfile writes it
_.collect  # prometheus_client calls it at each scrape
_.yaml_implicit_resolvers  # PyYAML's loader
_.codec_tag  # PyAV writes it into the file
Meta  # peewee reads a model's
primary_key  # peewee, inside Meta
Picamera  # made by name, from the table of backends

# published: read by whoever reads the JSON
by_s, config_digest, job_kind, lasted_s, orphan_files, orphan_rows, to_version  # event bodies
clock_synced, measured, state_since, verdicts  # frames, quality, cameras
last_gap, last_good, next_slots, probation_until  # cameras, config, status
alerts_total, ledger_settled_to, uptime_s  # the status
exposure_max_s, exposure_min_s, gain_max, sets_exposure  # capabilities of a camera
open_timeout_s, read_timeout_s  # fields of node.yml, read by the camera's worker by name

# part of a value that is used whole
started_ticks, boot  # a pid file is compared as a whole
colour_temperature_k, frames_used, sensor_ns, sensor_temperature_c  # a shot crosses to the node as a whole
request_digest, good_needed, lease_boot, lease_until_ms  # columns, written and read by their names as text
event_ids, extra  # what an entry of the journal answers

# asked by the tests, which are not read here
ALL  # tables are compared with what the migrations make
totals  # counts are compared with the rows
id_time_ms  # an id's time is read back

# awaited: laid as ground for the parts that come next
CodecUnknown  # the parts that come next
EncoderFailed  # the parts that come next
FrameReclaimed  # the parts that come next
LANES  # the parts that come next
MILESTONE  # the parts that come next
MemoryShort  # the parts that come next
NoFrames  # the parts that come next
PER_CAPTURE  # the parts that come next
ShootMoved  # the parts that come next
VideoMade  # the parts that come next
VideoMissing  # the parts that come next
VideoWrong  # the parts that come next
WorkerHeld  # the parts that come next
WorkerLost  # the parts that come next
codec  # the parts that come next
crf  # the parts that come next
expected  # the parts that come next
fps  # the parts that come next
job_stuck_s  # the parts that come next
jobs  # the parts that come next
known_hosts  # the parts that come next
last_s  # the parts that come next
limit_bytes_per_s  # the parts that come next
min_frames  # the parts that come next
preset  # the parts that come next
target_s  # the parts that come next
threads  # the parts that come next
throttle_s  # the parts that come next
thumbnails  # the parts that come next
tier  # the parts that come next
triggers  # the parts that come next
unsent_warn_s  # the parts that come next
user  # the parts that come next
video  # the parts that come next
video_limit_s  # the parts that come next
videos  # the parts that come next
Pulse  # the parts that come next
RunningDocument  # the parts that come next
abandon  # the parts that come next
ended_hour  # the parts that come next
