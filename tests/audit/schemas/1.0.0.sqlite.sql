BEGIN TRANSACTION;
CREATE TABLE audit_records (
	id INTEGER NOT NULL, 
	incident VARCHAR(200) NOT NULL, 
	first_run_id VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	"key" VARCHAR(400) NOT NULL, 
	at DATETIME NOT NULL, 
	event VARCHAR(60) NOT NULL, 
	"by" VARCHAR(200) NOT NULL, 
	text TEXT NOT NULL, 
	data TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	anchor VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT audit_records_unique_number UNIQUE (incident, first_run_id, number), 
	CONSTRAINT audit_records_unique_key UNIQUE (incident, first_run_id, "key")
);
INSERT INTO "audit_records" VALUES(1,'incident-a','run-1',1,'1','2026-11-24 07:00:00.000000','received','tocsin','ünïcode ✓','{"n": 1.5}','0000000000000000000000000000000000000000000000000000000000000000','0000000000000000000000000000000000000000000000000000000000000000','e768802dbabdf5431598f738da16f45f88a66c4966e282883c7625707f9ce3a0');
INSERT INTO "audit_records" VALUES(2,'incident-a','run-1',2,'2','2026-11-24 07:00:00.000000','classified','tocsin','ünïcode ✓','{"n": 1.5}','e768802dbabdf5431598f738da16f45f88a66c4966e282883c7625707f9ce3a0','e768802dbabdf5431598f738da16f45f88a66c4966e282883c7625707f9ce3a0','403a6a26f4574374a69024f36486057b86f97908b95c591fbf98e0592999d842');
CREATE TABLE digest_items (
	"key" VARCHAR(400) NOT NULL, 
	destination VARCHAR(200) NOT NULL, 
	incident VARCHAR(200) NOT NULL, 
	at DATETIME NOT NULL, 
	content TEXT NOT NULL, 
	drill BOOLEAN NOT NULL, 
	digest VARCHAR(300), 
	PRIMARY KEY ("key")
);
INSERT INTO "digest_items" VALUES('item-of-digest-a','daily','incident-a','2026-11-24 07:00:00.000000','{}',0,'digest-a');
INSERT INTO "digest_items" VALUES('item-of-digest-b','daily','incident-a','2026-11-24 07:00:00.000000','{}',0,'digest-b');
CREATE TABLE digests (
	"key" VARCHAR(300) NOT NULL, 
	destination VARCHAR(200) NOT NULL, 
	started_at DATETIME NOT NULL, 
	sent_at DATETIME, 
	receipt TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "digests" VALUES('digest-a','daily','2026-11-24 07:00:00.000000','2026-11-24 07:00:00.000000','{"id": "1"}');
INSERT INTO "digests" VALUES('digest-b','daily','2026-11-24 07:00:00.000000',NULL,'');
CREATE TABLE policies (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	since DATETIME NOT NULL, 
	content TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT policies_unique_digest UNIQUE (digest)
);
INSERT INTO "policies" VALUES(1,'09bfcc6a14b8','2026-11-24 07:00:00.000000','[["policy.yaml", "dmVyc2lvbjogMQo="]]');
CREATE TABLE tocsin_schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT tocsin_schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "tocsin_schema_version" VALUES('v1_0_0');
CREATE INDEX audit_records_by_at ON audit_records (at);
CREATE INDEX digest_items_by_digest ON digest_items (digest);
CREATE INDEX digest_items_by_destination ON digest_items (destination, at);
CREATE TRIGGER audit_records_no_update BEFORE UPDATE ON audit_records BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_records_no_delete BEFORE DELETE ON audit_records BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER policies_no_update BEFORE UPDATE ON policies BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER policies_no_delete BEFORE DELETE ON policies BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
COMMIT;
