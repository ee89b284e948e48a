"""Jobs and their attempts, videos, receipts and what is unsent, targets, triggers' cursors; what became of a frame.

Only adds, but for the wider list of a shoot's states: the release before still starts on it.
"""

from __future__ import annotations

from typing import Any

STATEMENTS = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'leased', 'retry', 'done', 'dead', 'cancelled')),
    priority INTEGER NOT NULL,
    payload TEXT NOT NULL,
    who TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    delay_us INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL DEFAULT '',
    lease_boot TEXT NOT NULL DEFAULT '',
    lease_until_ms INTEGER NOT NULL DEFAULT 0,
    started_us INTEGER,
    finished_us INTEGER,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    said TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '{}',
    error_code TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX jobs_one_live ON jobs (kind, key) WHERE state IN ('queued', 'leased', 'retry');
CREATE INDEX jobs_waiting ON jobs (kind, due_us - priority * 60000000, due_us, state)
    WHERE state IN ('queued', 'retry');
CREATE INDEX jobs_leased ON jobs (seq) WHERE state = 'leased';
CREATE INDEX jobs_dead ON jobs (seq) WHERE state = 'dead';
CREATE INDEX jobs_ended ON jobs (finished_us) WHERE state IN ('done', 'cancelled');

CREATE TABLE job_attempts (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    ended_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    error_code TEXT NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (job_id, attempt, started_us)
) STRICT, WITHOUT ROWID;

CREATE TABLE videos (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    camera TEXT NOT NULL,
    profile TEXT NOT NULL,
    shoot TEXT,
    job_id TEXT NOT NULL,
    title TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    path TEXT NOT NULL,
    poster TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    fps REAL NOT NULL,
    frames INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    codec TEXT NOT NULL,
    encoder TEXT NOT NULL,
    tier TEXT NOT NULL,
    left_out TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0,
    deleted_us INTEGER,
    deleted_rule TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX videos_camera ON videos (camera, id);
CREATE UNIQUE INDEX videos_one_a_shoot ON videos (shoot) WHERE shoot IS NOT NULL AND deleted_us IS NULL;

CREATE TABLE receipts (
    item TEXT NOT NULL,
    target TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('frame', 'video')),
    name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    how TEXT NOT NULL,
    verified_us INTEGER NOT NULL,
    PRIMARY KEY (item, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    target TEXT NOT NULL,
    item TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('frame', 'video')),
    size_bytes INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    error_code TEXT NOT NULL DEFAULT '',
    again_us INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (target, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_failed ON outbox (target, item) WHERE failures > 0;

CREATE TABLE targets (
    name TEXT PRIMARY KEY,
    frames_seq INTEGER NOT NULL DEFAULT 0,
    videos_seq INTEGER NOT NULL DEFAULT 0,
    unsent INTEGER NOT NULL DEFAULT 0,
    unsent_bytes INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    sent_bytes INTEGER NOT NULL DEFAULT 0,
    breaker TEXT NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'half_open')),
    failures INTEGER NOT NULL DEFAULT 0,
    successes INTEGER NOT NULL DEFAULT 0,
    opened_us INTEGER,
    last_ok_us INTEGER,
    last_failed_us INTEGER,
    last_error_code TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL DEFAULT 0,
    at_us INTEGER NOT NULL DEFAULT 0,
    count INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE frames_gone (
    frame_id TEXT PRIMARY KEY REFERENCES frames (id),
    deleted_us INTEGER NOT NULL,
    rule TEXT NOT NULL,
    receipts TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX frames_thin ON frames (coalesce(score, 101), id) WHERE quarantined = 0;

CREATE TABLE shoots_wider (
    shoot TEXT PRIMARY KEY,
    camera TEXT NOT NULL,
    schedule TEXT NOT NULL,
    profile TEXT NOT NULL,
    date TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'captured', 'rendering', 'done', 'degraded', 'failed')),
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,
    captured INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    degraded INTEGER NOT NULL DEFAULT 0,
    asked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO shoots_wider (shoot, camera, schedule, profile, date, state, start_us, end_us, due, captured, failed,
    degraded) SELECT shoot, camera, schedule, profile, date, state, start_us, end_us, due, captured, failed, degraded
    FROM shoots;
DROP TABLE shoots;
ALTER TABLE shoots_wider RENAME TO shoots;
CREATE INDEX shoots_start ON shoots (start_us);
CREATE INDEX shoots_open ON shoots (end_us) WHERE state = 'open';
CREATE INDEX shoots_waiting ON shoots (end_us) WHERE asked = 1 AND state IN ('captured', 'rendering')
"""


def up(_migrator: Any, db: Any) -> None:  # noqa: ANN401 - the runner's types are untyped
    for statement in filter(str.strip, STATEMENTS.split(";")):
        db.execute_sql(statement)
