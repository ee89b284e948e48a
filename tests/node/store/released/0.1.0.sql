-- Schema and rows as release 0.1.0 leaves them.  Frozen.
PRAGMA page_size = 2048;
PRAGMA auto_vacuum = incremental;
PRAGMA journal_mode = wal;
BEGIN TRANSACTION;
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
INSERT INTO "activations" VALUES(1,1,1795000000000000,'superseded',NULL,NULL,0,0,'{}','{}',0,'');
INSERT INTO "activations" VALUES(2,2,1795006600000000,'confirmed',1,1795006600000000,3,0,'{}','{}',0,'');
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
INSERT INTO "audit" VALUES(1,1795006600000000,'ansible','admin','10.0.0.1','r-1','config put','config/2','92044a643ba31e3ab23a037dec0ae76a1b4826d05c2ad7334ebbcb72bec05083','85ced122e40c9c4e35099c15f7d428eedbf5bc88cfaa9645adc230863605efcb','done');
INSERT INTO "audit" VALUES(2,1795006600000000,'node','node','','','config confirmed','config/2','85ced122e40c9c4e35099c15f7d428eedbf5bc88cfaa9645adc230863605efcb','85ced122e40c9c4e35099c15f7d428eedbf5bc88cfaa9645adc230863605efcb','done');
CREATE TABLE configs (
    version INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    document TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    origin TEXT NOT NULL
) STRICT;
INSERT INTO "configs" VALUES(1,'92044a643ba31e3ab23a037dec0ae76a1b4826d05c2ad7334ebbcb72bec05083','{"site":{"name":"north"}}',1795000000000000,'node','file');
INSERT INTO "configs" VALUES(2,'85ced122e40c9c4e35099c15f7d428eedbf5bc88cfaa9645adc230863605efcb','{"site":{"name":"south"}}',1795006600000000,'ansible','put');
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
INSERT INTO "day_counts" VALUES('main','2026-11-18',8,5,3,540,6);
INSERT INTO "day_counts" VALUES('side','2026-11-18',2,2,0,24,2);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    level TEXT NOT NULL,
    body TEXT NOT NULL,
    camera TEXT,
    frame TEXT
) STRICT;
INSERT INTO "events" VALUES(1,1795000000000000,'shoot_opened','info','{"shoot":"main/default/2026-11-18/auto","camera":"main","schedule":"default","profile":"auto","date":"2026-11-18"}','main',NULL);
INSERT INTO "events" VALUES(2,1795000000000000,'shoot_opened','info','{"shoot":"main/default/2026-11-19/auto","camera":"main","schedule":"default","profile":"auto","date":"2026-11-19"}','main',NULL);
INSERT INTO "events" VALUES(3,1795000000000000,'shoot_opened','info','{"shoot":"side/default/2026-11-18/auto","camera":"side","schedule":"default","profile":"auto","date":"2026-11-18"}','side',NULL);
INSERT INTO "events" VALUES(4,1795000000000000,'shoot_opened','info','{"shoot":"side/default/2026-11-19/auto","camera":"side","schedule":"default","profile":"auto","date":"2026-11-19"}','side',NULL);
INSERT INTO "events" VALUES(5,1795000600000000,'frame','info','{"frame":"01M7Q5Z1E0BZPEPSQZS1QKHPAJ","camera":"main","profile":"auto","due_us":1795000600000000,"captured_us":1795000600000000,"size_bytes":2000000,"verdict":"good","score":90,"reasons":[],"flagged":false,"late_ms":1,"took_ms":20}','main','01M7Q5Z1E0BZPEPSQZS1QKHPAJ');
INSERT INTO "events" VALUES(6,1795001200000000,'frame','info','{"frame":"01M7Q6HBC0DE3B4WZZ6KYE37BB","camera":"main","profile":"auto","due_us":1795001200000000,"captured_us":1795001200000000,"size_bytes":2000000,"verdict":"good","score":90,"reasons":[],"flagged":false,"late_ms":1,"took_ms":20}','main','01M7Q6HBC0DE3B4WZZ6KYE37BB');
INSERT INTO "events" VALUES(7,1795001800000000,'frame','info','{"frame":"01M7Q73NA0THSNWEH6BRBEXR1Z","camera":"main","profile":"auto","due_us":1795001800000000,"captured_us":1795001800000000,"size_bytes":2000000,"verdict":"good","score":90,"reasons":[],"flagged":false,"late_ms":1,"took_ms":20}','main','01M7Q73NA0THSNWEH6BRBEXR1Z');
INSERT INTO "events" VALUES(8,1795002400000000,'frame','info','{"frame":"01M7Q7NZ809R3M11B2QVDRPR6E","camera":"main","profile":"auto","due_us":1795002400000000,"captured_us":1795002400000000,"size_bytes":2000000,"verdict":"good","score":90,"reasons":[],"flagged":false,"late_ms":1,"took_ms":20}','main','01M7Q7NZ809R3M11B2QVDRPR6E');
INSERT INTO "events" VALUES(9,1795003000000000,'frame','info','{"frame":"01M7Q889609CH7EXYMVMFWC73F","camera":"main","profile":"auto","due_us":1795003000000000,"captured_us":1795003000000000,"size_bytes":2000000,"verdict":"good","score":90,"reasons":[],"flagged":false,"late_ms":1,"took_ms":20}','main','01M7Q889609CH7EXYMVMFWC73F');
INSERT INTO "events" VALUES(10,1795003600000000,'frame','info','{"frame":"01M7Q8TK40XWPH4ZF3FEA2QAPG","camera":"side","profile":"auto","due_us":1795003600000000,"captured_us":1795003600000000,"size_bytes":2000000,"verdict":"bad","score":12,"reasons":["black"],"flagged":true,"late_ms":1,"took_ms":20}','side','01M7Q8TK40XWPH4ZF3FEA2QAPG');
INSERT INTO "events" VALUES(11,1795004200000000,'frame','info','{"frame":"01M7Q9CX20WZVC04BQDT6VFK9K","camera":"side","profile":"auto","due_us":1795004200000000,"captured_us":1795004200000000,"size_bytes":2000000,"verdict":"bad","score":12,"reasons":["black"],"flagged":true,"late_ms":1,"took_ms":20}','side','01M7Q9CX20WZVC04BQDT6VFK9K');
INSERT INTO "events" VALUES(12,1795005400000000,'frame','info','{"frame":"01M7QAHGY05HH44CPDT8GQE4MM","camera":"main","profile":"auto","due_us":null,"captured_us":1795005400000000,"size_bytes":2000000,"verdict":"good","score":90,"reasons":[],"flagged":false,"late_ms":1,"took_ms":20}','main','01M7QAHGY05HH44CPDT8GQE4MM');
INSERT INTO "events" VALUES(13,1795006600000000,'config_activated','info','{"version":2,"digest":"85ced122e40c9c4e35099c15f7d428eedbf5bc88cfaa9645adc230863605efcb","previous":1,"probation":true,"who":"ansible"}',NULL,NULL);
INSERT INTO "events" VALUES(14,1795006600000000,'config_confirmed','info','{"version":2,"digest":"85ced122e40c9c4e35099c15f7d428eedbf5bc88cfaa9645adc230863605efcb","good_frames":0}',NULL,NULL);
CREATE TABLE frame_shoots (
    shoot TEXT NOT NULL,
    frame_id TEXT NOT NULL REFERENCES frames (id),
    PRIMARY KEY (shoot, frame_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "frame_shoots" VALUES('main/default/2026-11-18/auto','01M7Q5Z1E0BZPEPSQZS1QKHPAJ');
INSERT INTO "frame_shoots" VALUES('main/default/2026-11-18/auto','01M7Q6HBC0DE3B4WZZ6KYE37BB');
INSERT INTO "frame_shoots" VALUES('main/default/2026-11-18/auto','01M7Q73NA0THSNWEH6BRBEXR1Z');
INSERT INTO "frame_shoots" VALUES('main/default/2026-11-18/auto','01M7Q7NZ809R3M11B2QVDRPR6E');
INSERT INTO "frame_shoots" VALUES('main/default/2026-11-18/auto','01M7Q889609CH7EXYMVMFWC73F');
INSERT INTO "frame_shoots" VALUES('main/default/2026-11-18/auto','01M7Q9Z700F416K6Z45J58WHQV');
INSERT INTO "frame_shoots" VALUES('side/default/2026-11-18/auto','01M7Q8TK40XWPH4ZF3FEA2QAPG');
INSERT INTO "frame_shoots" VALUES('side/default/2026-11-18/auto','01M7Q9CX20WZVC04BQDT6VFK9K');
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
INSERT INTO "frames" VALUES(1,'01M7Q5Z1E0BZPEPSQZS1QKHPAJ','north','main','auto',1795000600000000,'["default"]','["main/default/2026-11-18/auto"]',1795000600000000,1,'frames/main/default/2026/11/18/20261118T111640000Z_auto_S1QKHPAJ.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','good',90,'[]',0,0,0,12.25,'{"due_us":1795000600000000,"request_us":1795000599980000,"captured_us":1795000600000000,"read_us":1795000600000001,"measured_us":1795000600000002}');
INSERT INTO "frames" VALUES(2,'01M7Q6HBC0DE3B4WZZ6KYE37BB','north','main','auto',1795001200000000,'["default"]','["main/default/2026-11-18/auto"]',1795001200000000,1,'frames/main/default/2026/11/18/20261118T112640000Z_auto_6KYE37BB.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','good',90,'[]',0,0,0,12.25,'{"due_us":1795001200000000,"request_us":1795001199980000,"captured_us":1795001200000000,"read_us":1795001200000001,"measured_us":1795001200000002}');
INSERT INTO "frames" VALUES(3,'01M7Q73NA0THSNWEH6BRBEXR1Z','north','main','auto',1795001800000000,'["default"]','["main/default/2026-11-18/auto"]',1795001800000000,1,'frames/main/default/2026/11/18/20261118T113640000Z_auto_BRBEXR1Z.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','good',90,'[]',0,0,0,12.25,'{"due_us":1795001800000000,"request_us":1795001799980000,"captured_us":1795001800000000,"read_us":1795001800000001,"measured_us":1795001800000002}');
INSERT INTO "frames" VALUES(4,'01M7Q7NZ809R3M11B2QVDRPR6E','north','main','auto',1795002400000000,'["default"]','["main/default/2026-11-18/auto"]',1795002400000000,1,'frames/main/default/2026/11/18/20261118T114640000Z_auto_QVDRPR6E.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','good',90,'[]',0,0,0,12.25,'{"due_us":1795002400000000,"request_us":1795002399980000,"captured_us":1795002400000000,"read_us":1795002400000001,"measured_us":1795002400000002}');
INSERT INTO "frames" VALUES(5,'01M7Q889609CH7EXYMVMFWC73F','north','main','auto',1795003000000000,'["default"]','["main/default/2026-11-18/auto"]',1795003000000000,1,'frames/main/default/2026/11/18/20261118T115640000Z_auto_VMFWC73F.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','good',90,'[]',0,0,0,12.25,'{"due_us":1795003000000000,"request_us":1795002999980000,"captured_us":1795003000000000,"read_us":1795003000000001,"measured_us":1795003000000002}');
INSERT INTO "frames" VALUES(6,'01M7Q8TK40XWPH4ZF3FEA2QAPG','north','side','auto',1795003600000000,'["default"]','["side/default/2026-11-18/auto"]',1795003600000000,1,'frames/side/default/2026/11/18/20261118T120640000Z_auto_FEA2QAPG.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','bad',12,'["black"]',1,0,0,12.25,'{"due_us":1795003600000000,"request_us":1795003599980000,"captured_us":1795003600000000,"read_us":1795003600000001,"measured_us":1795003600000002}');
INSERT INTO "frames" VALUES(7,'01M7Q9CX20WZVC04BQDT6VFK9K','north','side','auto',1795004200000000,'["default"]','["side/default/2026-11-18/auto"]',1795004200000000,1,'frames/side/default/2026/11/18/20261118T121640000Z_auto_DT6VFK9K.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','bad',12,'["black"]',1,0,0,12.25,'{"due_us":1795004200000000,"request_us":1795004199980000,"captured_us":1795004200000000,"read_us":1795004200000001,"measured_us":1795004200000002}');
INSERT INTO "frames" VALUES(8,'01M7Q9Z700F416K6Z45J58WHQV','north','main','auto',1795004800000000,'["default"]','["main/default/2026-11-18/auto"]',1795004800000000,1,'quarantine/main/2026-11-18/20261118T122640000Z_auto_5J58WHQV.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'truncated','unjudged',NULL,'[]',0,1,0,12.25,'{"due_us":1795004800000000,"request_us":1795004799980000,"captured_us":1795004800000000,"read_us":1795004800000001,"measured_us":1795004800000002}');
INSERT INTO "frames" VALUES(9,'01M7QAHGY05HH44CPDT8GQE4MM','north','main','auto',NULL,'[]','[]',1795005400000000,1,'frames/main/default/2026/11/18/20261118T123640000Z_auto_T8GQE4MM.jpg',2000000,'5555555555555555555555555555555555555555555555555555555555555555',4056,3040,'{"exposure_s":null,"gain":null,"ev_stops":0.5}','{"exposure_s":0.01,"gain":1.5,"ev_stops":0.0}',1,'synthetic',1,'intact','good',90,'[]',0,0,0,12.25,'{"due_us":0,"request_us":1795005399980000,"captured_us":1795005400000000,"read_us":1795005400000001,"measured_us":1795005400000002}');
CREATE TABLE hour_scores (
    camera TEXT NOT NULL,
    hour INTEGER NOT NULL,
    score_sum INTEGER NOT NULL,
    score_n INTEGER NOT NULL,
    PRIMARY KEY (camera, hour)
) STRICT, WITHOUT ROWID;
INSERT INTO "hour_scores" VALUES('main',498611,450,5);
INSERT INTO "hour_scores" VALUES('main',498612,90,1);
INSERT INTO "hour_scores" VALUES('side',498612,24,2);
CREATE TABLE idempotency (
    key TEXT NOT NULL,
    route TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status INTEGER,
    body TEXT,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (key, route)
) STRICT, WITHOUT ROWID;
INSERT INTO "idempotency" VALUES('k','POST /v1/cameras/main/capture','d',200,'{}',1);
CREATE TABLE ledger (
    camera TEXT PRIMARY KEY,
    settled_to_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "ledger" VALUES('main',1795006600000000);
INSERT INTO "ledger" VALUES('side',1795000000000000);
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE "schema_migration" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "applied" DATETIME NOT NULL);
INSERT INTO "schema_migration" VALUES(1,'0001_initial','2026-11-20 09:01:39.218541');
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
INSERT INTO "shoots" VALUES('main/default/2026-11-18/auto','main','default','auto','2026-11-18','captured',1795000000000000,1795086400000000,8,5,3,1);
INSERT INTO "shoots" VALUES('main/default/2026-11-19/auto','main','default','auto','2026-11-19','open',1795000000000000,1795086400000000,0,0,0,0);
INSERT INTO "shoots" VALUES('side/default/2026-11-18/auto','side','default','auto','2026-11-18','open',1795000000000000,1795086400000000,2,2,0,0);
INSERT INTO "shoots" VALUES('side/default/2026-11-19/auto','side','default','auto','2026-11-19','open',1795000000000000,1795086400000000,0,0,0,0);
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
INSERT INTO "slots" VALUES('main',1795000600000000,'auto','01M7Q5Z1E0BZPEPSQZS1QKHPAJ',NULL,'["default"]','["main/default/2026-11-18/auto"]','',1,1795000600000000);
INSERT INTO "slots" VALUES('main',1795001200000000,'auto','01M7Q6HBC0DE3B4WZZ6KYE37BB',NULL,'["default"]','["main/default/2026-11-18/auto"]','',1,1795001200000000);
INSERT INTO "slots" VALUES('main',1795001800000000,'auto','01M7Q73NA0THSNWEH6BRBEXR1Z',NULL,'["default"]','["main/default/2026-11-18/auto"]','',1,1795001800000000);
INSERT INTO "slots" VALUES('main',1795002400000000,'auto','01M7Q7NZ809R3M11B2QVDRPR6E',NULL,'["default"]','["main/default/2026-11-18/auto"]','',1,1795002400000000);
INSERT INTO "slots" VALUES('main',1795003000000000,'auto','01M7Q889609CH7EXYMVMFWC73F',NULL,'["default"]','["main/default/2026-11-18/auto"]','',1,1795003000000000);
INSERT INTO "slots" VALUES('main',1795004800000000,'auto',NULL,'damaged','["default"]','["main/default/2026-11-18/auto"]','CAM-005',1,1795004800000000);
INSERT INTO "slots" VALUES('main',1795006000000000,'auto',NULL,'timeout','["default"]','["main/default/2026-11-18/auto"]','CAM-005',1,1795006000000000);
INSERT INTO "slots" VALUES('main',1795006600000000,'auto',NULL,'process_down','["default"]','["main/default/2026-11-18/auto"]','CAM-005',1,1795006600000000);
INSERT INTO "slots" VALUES('side',1795003600000000,'auto','01M7Q8TK40XWPH4ZF3FEA2QAPG',NULL,'["default"]','["side/default/2026-11-18/auto"]','',1,1795003600000000);
INSERT INTO "slots" VALUES('side',1795004200000000,'auto','01M7Q9CX20WZVC04BQDT6VFK9K',NULL,'["default"]','["side/default/2026-11-18/auto"]','',1,1795004200000000);
CREATE UNIQUE INDEX "schema_migration_name" ON "schema_migration" ("name");
CREATE INDEX frames_camera ON frames (camera, id);
CREATE INDEX frames_not_good ON frames (verdict, id) WHERE verdict <> 'good';
CREATE INDEX frames_flagged ON frames (id) WHERE flagged = 1;
CREATE INDEX frames_clean ON frames (camera, id) WHERE quarantined = 0 AND flagged = 0;
CREATE INDEX slots_gaps ON slots (due_us) WHERE reason IS NOT NULL;
CREATE INDEX shoots_start ON shoots (start_us);
CREATE INDEX shoots_open ON shoots (end_us) WHERE state = 'open';
CREATE UNIQUE INDEX activations_one_current ON activations ((1)) WHERE state IN ('active', 'probation', 'confirmed');
COMMIT;
PRAGMA user_version = 1;
PRAGMA application_id = 1212501065;
