"""The first schema: frames and their ledger, the log, the version book, roll-ups."""

from __future__ import annotations

from typing import Any

TABLES = """
CREATE TABLE frames (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL,
    camera TEXT NOT NULL,
    profile TEXT NOT NULL,
    due_us INTEGER,
    schedules TEXT NOT NULL,
    shoots TEXT NOT NULL,
    captured_us INTEGER NOT NULL,
    clock_synced INTEGER NOT NULL,
    path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    requested TEXT NOT NULL,
    actual TEXT NOT NULL,
    settled INTEGER NOT NULL,
    backend TEXT NOT NULL,
    config_version INTEGER NOT NULL,
    integrity TEXT NOT NULL,
    verdict TEXT NOT NULL,
    score INTEGER CHECK (score BETWEEN 0 AND 100),
    reasons TEXT NOT NULL,
    flagged INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    recaptured INTEGER NOT NULL,
    sun_elevation_deg REAL,
    stages TEXT NOT NULL
) STRICT;
CREATE INDEX frames_camera ON frames (camera, id);
CREATE INDEX frames_not_good ON frames (verdict, id) WHERE verdict <> 'good';
CREATE INDEX frames_flagged ON frames (id) WHERE flagged = 1;
CREATE INDEX frames_clean ON frames (camera, id) WHERE quarantined = 0 AND flagged = 0;

CREATE TABLE slots (
    camera TEXT NOT NULL,
    due_us INTEGER NOT NULL,
    profile TEXT NOT NULL,
    frame_id TEXT REFERENCES frames (id),
    reason TEXT,
    schedules TEXT NOT NULL,
    shoots TEXT NOT NULL,
    error_code TEXT NOT NULL,
    config_version INTEGER NOT NULL,
    settled_us INTEGER NOT NULL,
    PRIMARY KEY (camera, due_us, profile),
    CHECK ((frame_id IS NULL) <> (reason IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX slots_gaps ON slots (due_us) WHERE reason IS NOT NULL;

CREATE TABLE shoots (
    shoot TEXT PRIMARY KEY,
    camera TEXT NOT NULL,
    schedule TEXT NOT NULL,
    profile TEXT NOT NULL,
    date TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'captured')),
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,
    captured INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    degraded INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX shoots_start ON shoots (start_us);
CREATE INDEX shoots_open ON shoots (end_us) WHERE state = 'open';

CREATE TABLE frame_shoots (
    shoot TEXT NOT NULL,
    frame_id TEXT NOT NULL REFERENCES frames (id),
    PRIMARY KEY (shoot, frame_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    camera TEXT PRIMARY KEY,
    settled_to_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE day_counts (
    camera TEXT NOT NULL,
    day TEXT NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,
    captured INTEGER NOT NULL DEFAULT 0,
    gaps INTEGER NOT NULL DEFAULT 0,
    score_sum INTEGER NOT NULL DEFAULT 0,
    score_n INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (camera, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE hour_scores (
    camera TEXT NOT NULL,
    hour INTEGER NOT NULL,
    score_sum INTEGER NOT NULL,
    score_n INTEGER NOT NULL,
    PRIMARY KEY (camera, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    level TEXT NOT NULL,
    body TEXT NOT NULL,
    camera TEXT,
    frame TEXT
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    client TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before_digest TEXT NOT NULL,
    after_digest TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;

CREATE TABLE idempotency (
    key TEXT NOT NULL,
    route TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status INTEGER,
    body TEXT,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (key, route)
) STRICT, WITHOUT ROWID;

CREATE TABLE configs (
    version INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    document TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    origin TEXT NOT NULL
) STRICT;

CREATE TABLE activations (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL REFERENCES configs (version),
    from_us INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'probation', 'confirmed', 'rolled_back', 'superseded')),
    previous INTEGER REFERENCES configs (version),
    deadline_us INTEGER,
    good_needed INTEGER NOT NULL DEFAULT 0,
    good_seen INTEGER NOT NULL DEFAULT 0,
    owed TEXT NOT NULL DEFAULT '{}',
    light TEXT NOT NULL DEFAULT '{}',
    starts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX activations_one_current ON activations ((1)) WHERE state IN ('active', 'probation', 'confirmed');

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""


def up(_migrator: Any, db: Any) -> None:  # noqa: ANN401 - the runner's types are untyped
    for statement in filter(str.strip, TABLES.split(";")):
        db.execute_sql(statement)
    db.execute_sql("PRAGMA user_version = 1")
