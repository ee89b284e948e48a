"""What vulture takes for dead in node and console, and who uses it.  A test refuses names that are no longer there."""

# read by a library
_._pool  # httpx asks by it
_.virtual_size  # Textual scrolls by it
_.render_segments  # Textual sends it to the terminal
_.border_subtitle  # Textual draws it
_.cursor_position  # Textual's input
_.placeholder  # Textual's input
_.border_title  # Textual draws it
_.min_width  # Textual lays out by it
_.attrs_before  # Textual sets the terminal to it
TITLE  # Textual's name of the app, on its screenshots
_.total_tokens  # anyio's limit of worker threads
_.should_exit  # uvicorn's main loop
_.num_tickets  # OpenSSL, of a context
_.handleError  # logging calls it where a line cannot be written
_.format  # logging calls it for each line
_.mtime  # tarfile writes it
_.collect  # prometheus_client calls it at each scrape
_.yaml_implicit_resolvers  # PyYAML's loader
_.codec_tag  # PyAV writes it into the file
Meta  # peewee reads a model's
primary_key, table_name  # peewee, inside Meta
Picamera  # made by name, from the table of backends

# published: read by whoever reads the JSON
by_s, config_digest, job_kind, lasted_s, orphan_files, orphan_rows, to_version  # event bodies
clock_synced, measured, state_since, verdicts  # frames, quality, cameras
last_gap, last_good, next_slots, probation_until  # cameras, config, status
deleted, left_out_count, last_failed, last_ok, oldest_unsent  # videos, targets, what became of a frame
age_s, done_last_hour  # the queue
reclaim_more  # the check of a document
alerts_total, certificate_not_after, ledger_settled_to, uptime_s  # the status
exposure_max_s, exposure_min_s, gain_max, sets_exposure  # capabilities of a camera
open_timeout_s, read_timeout_s  # fields of node.yml, read by the camera's worker by name

# part of a value that is used whole
started_ticks, boot  # a pid file is compared as a whole
colour_temperature_k, frames_used, sensor_ns, sensor_temperature_c  # a shot crosses to the node as a whole
request_digest, good_needed, lease_boot, lease_until_ms  # columns, written and read by their names as text
ansible_port, ansible_user, ansible_ssh_private_key_file  # read by their names, from a table
ansible_ssh_common_args, ansible_ssh_extra_args  # as above
event_ids, extra  # what an entry of the journal answers

# asked by the tests, which are not read here
ALL  # tables are compared with what the migrations make
totals  # counts are compared with the rows
id_time_ms  # an id's time is read back

# awaited: laid as ground for the parts that come next
expected  # the parts that come next
LETTERS  # the test of the registry
