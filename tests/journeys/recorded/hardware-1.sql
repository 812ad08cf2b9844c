BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0014');
CREATE TABLE assignments (
	gid INTEGER NOT NULL, 
	mpid BIGINT NOT NULL, 
	quota BIGINT NOT NULL, 
	write BOOLEAN NOT NULL, 
	manage BOOLEAN NOT NULL, 
	CONSTRAINT pk_assignments PRIMARY KEY (gid, mpid), 
	CONSTRAINT fk_assignments_gid FOREIGN KEY(gid) REFERENCES groups (gid) ON DELETE CASCADE
);
CREATE TABLE "authkeys" (
	hash BLOB NOT NULL, 
	uid INTEGER NOT NULL, 
	expires BIGINT NOT NULL, 
	sid TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	address TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	CONSTRAINT pk_authkeys PRIMARY KEY (hash), 
	CONSTRAINT fk_authkeys_uid FOREIGN KEY(uid) REFERENCES users (uid) ON DELETE CASCADE, 
	CONSTRAINT uq_authkeys_sid UNIQUE (sid)
);
CREATE TABLE good_addresses (
	uid INTEGER NOT NULL, 
	address TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_good_addresses PRIMARY KEY (uid, address), 
	CONSTRAINT fk_good_addresses_uid FOREIGN KEY(uid) REFERENCES users (uid) ON DELETE CASCADE
);
CREATE TABLE grants (
	uid INTEGER NOT NULL, 
	gid INTEGER NOT NULL, 
	pid INTEGER NOT NULL, 
	CONSTRAINT pk_grants PRIMARY KEY (uid, gid, pid), 
	CONSTRAINT fk_grants_uid FOREIGN KEY(uid) REFERENCES users (uid) ON DELETE CASCADE, 
	CONSTRAINT fk_grants_gid FOREIGN KEY(gid) REFERENCES groups (gid) ON DELETE CASCADE
);
INSERT INTO "grants" VALUES(0,0,1);
INSERT INTO "grants" VALUES(0,0,2);
INSERT INTO "grants" VALUES(0,0,3);
INSERT INTO "grants" VALUES(0,0,4);
INSERT INTO "grants" VALUES(0,0,5);
INSERT INTO "grants" VALUES(0,0,6);
INSERT INTO "grants" VALUES(0,0,7);
INSERT INTO "grants" VALUES(0,0,8);
INSERT INTO "grants" VALUES(0,0,9);
INSERT INTO "grants" VALUES(0,0,10);
INSERT INTO "grants" VALUES(0,0,11);
INSERT INTO "grants" VALUES(0,0,12);
INSERT INTO "grants" VALUES(0,0,13);
INSERT INTO "grants" VALUES(0,0,14);
INSERT INTO "grants" VALUES(0,0,15);
INSERT INTO "grants" VALUES(0,0,16);
INSERT INTO "grants" VALUES(0,0,17);
INSERT INTO "grants" VALUES(0,0,18);
INSERT INTO "grants" VALUES(0,0,19);
INSERT INTO "grants" VALUES(0,0,20);
INSERT INTO "grants" VALUES(0,0,21);
INSERT INTO "grants" VALUES(0,0,22);
INSERT INTO "grants" VALUES(0,0,23);
INSERT INTO "grants" VALUES(0,0,24);
INSERT INTO "grants" VALUES(0,0,25);
CREATE TABLE groups (
	gid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	parent_gid INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT fk_groups_parent_gid FOREIGN KEY(parent_gid) REFERENCES groups (gid), 
	CONSTRAINT uq_groups_parent_gid_name UNIQUE (parent_gid, name)
);
INSERT INTO "groups" VALUES(0,0,'root');
CREATE TABLE history (
	hid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	uid INTEGER, 
	name TEXT NOT NULL, 
	address TEXT NOT NULL, 
	request TEXT NOT NULL, 
	operation TEXT NOT NULL, 
	gid INTEGER NOT NULL, 
	target TEXT NOT NULL, 
	status INTEGER NOT NULL, 
	code INTEGER, 
	message TEXT
, vmid INTEGER, times INTEGER DEFAULT '1' NOT NULL);
CREATE TABLE hosts (
	host_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_hosts PRIMARY KEY (host_id)
);
INSERT INTO "hosts" VALUES(1,'this host');
CREATE TABLE instance (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_instance PRIMARY KEY (name)
);
CREATE TABLE leadership (
	id INTEGER NOT NULL, 
	term BIGINT NOT NULL, 
	written BIGINT NOT NULL, 
	CONSTRAINT pk_leadership PRIMARY KEY (id)
);
INSERT INTO "leadership" VALUES(1,1,17);
CREATE TABLE machines (
	vmid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	uuid TEXT NOT NULL, 
	host_id INTEGER NOT NULL, 
	gid INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	epoch BIGINT NOT NULL, 
	wanted TEXT NOT NULL, 
	reason TEXT, 
	stopping_since BIGINT, run_spec TEXT, stop_forced BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT fk_machines_host_id FOREIGN KEY(host_id) REFERENCES hosts (host_id), 
	CONSTRAINT fk_machines_gid FOREIGN KEY(gid) REFERENCES groups (gid), 
	CONSTRAINT uq_machines_uuid UNIQUE (uuid), 
	CONSTRAINT uq_machines_gid_name UNIQUE (gid, name)
);
INSERT INTO "machines" VALUES(1,'c883276a-1fec-4dd2-b496-2240776ad66f',1,0,'older','{"cpus":1,"memory_mib":256,"displays":[{"name":"screen","width":1024,"height":768,"ppi":96}],"media":[{"mid":"a1fde008-1449-46f1-8aba-90861c67e70f","mode":"VIRTIO","readonly":true},{"mid":"69767db1-85e8-4e3b-aac3-fe10de5c530f","mode":"USB","readonly":false},{"mid":"10a77a8b-840b-43a0-aa9f-130edcd5a9a1","mode":"BLOCK","readonly":false},{"mid":"f239773a-76cc-4cc3-9e02-f5b7ce10dc40","mode":"VIRTIO","readonly":false}],"nics":[{"type":"NAT","id":2},{"type":"NAT","id":3}],"rosetta":false,"autostart":false,"notes":"","machine_type":"pc-q35-7.2","firmware":"032b37dc8765f653","attached_by":{},"interfaces":[{"id":2,"mac":"52:54:00:e2:2d:78"},{"id":3,"mac":"52:54:00:dc:67:38"}],"last_nic":3}',1,'STOPPED',NULL,NULL,NULL,0);
CREATE TABLE media (
	mid TEXT NOT NULL, 
	mpid BIGINT NOT NULL, 
	gid INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	type TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	readonly BOOLEAN NOT NULL, 
	format TEXT NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_media PRIMARY KEY (mid), 
	CONSTRAINT fk_media_gid FOREIGN KEY(gid) REFERENCES groups (gid), 
	CONSTRAINT uq_media_gid_mpid_name UNIQUE (gid, mpid, name)
);
INSERT INTO "media" VALUES('a1fde008-1449-46f1-8aba-90861c67e70f',1,0,'guest.iso','ISO',12632064,0,'raw','{"format":"iso9660","label":"VELOCITY_DEMO","volume_size":12632064,"boots_efi":true,"architectures":["x86_64"]}');
INSERT INTO "media" VALUES('69767db1-85e8-4e3b-aac3-fe10de5c530f',1,0,'usb','DISK',1048576,0,'raw','{"format":"blank"}');
INSERT INTO "media" VALUES('10a77a8b-840b-43a0-aa9f-130edcd5a9a1',1,0,'block','DISK',1048576,0,'raw','{"format":"blank"}');
INSERT INTO "media" VALUES('f239773a-76cc-4cc3-9e02-f5b7ce10dc40',1,0,'scsi','DISK',1048576,0,'raw','{"format":"blank"}');
CREATE TABLE quotas (
	gid INTEGER NOT NULL, 
	cpus BIGINT, 
	memory_mib BIGINT, 
	vms BIGINT, 
	CONSTRAINT pk_quotas PRIMARY KEY (gid), 
	CONSTRAINT fk_quotas_gid FOREIGN KEY(gid) REFERENCES groups (gid) ON DELETE CASCADE
);
CREATE TABLE repeats (
	uid INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	fingerprint BLOB NOT NULL, 
	answer BLOB, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_repeats PRIMARY KEY (uid, "key"), 
	CONSTRAINT fk_repeats_uid FOREIGN KEY(uid) REFERENCES users (uid) ON DELETE CASCADE
);
CREATE TABLE tasks (
	tid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	uid INTEGER NOT NULL, 
	gid INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	begun BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	done BIGINT NOT NULL, 
	total BIGINT NOT NULL, 
	ended BIGINT, 
	message TEXT, 
	mid TEXT, 
	CONSTRAINT fk_tasks_gid FOREIGN KEY(gid) REFERENCES groups (gid) ON DELETE CASCADE
);
CREATE TABLE trash (
	trid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	id TEXT NOT NULL, 
	gid INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	uid INTEGER NOT NULL, 
	size BIGINT NOT NULL, 
	deleted BIGINT NOT NULL, 
	rows TEXT NOT NULL
);
CREATE TABLE uploads (
	name TEXT NOT NULL, 
	mid TEXT NOT NULL, 
	uid INTEGER NOT NULL, 
	gid INTEGER NOT NULL, 
	request TEXT NOT NULL, 
	received BIGINT NOT NULL, 
	begun BIGINT NOT NULL, 
	heard BIGINT NOT NULL, 
	CONSTRAINT pk_uploads PRIMARY KEY (name), 
	CONSTRAINT fk_uploads_uid FOREIGN KEY(uid) REFERENCES users (uid) ON DELETE CASCADE, 
	CONSTRAINT fk_uploads_gid FOREIGN KEY(gid) REFERENCES groups (gid) ON DELETE CASCADE, 
	CONSTRAINT uq_uploads_mid UNIQUE (mid)
);
CREATE TABLE users (
	uid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name TEXT NOT NULL, 
	password TEXT NOT NULL, home INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT uq_users_name UNIQUE (name)
);
INSERT INTO "users" VALUES(0,'root','$argon2id$v=19$m=65536,t=3,p=4$TTxd7Vemm+uTmcK52ozYbQ$LhVVTO7SU+xHcZz1zZhPfzc0a6xP1f8Yjg6zk3upMl4',0);
CREATE INDEX ix_history_vmid ON history (vmid, hid);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('groups',0);
INSERT INTO "sqlite_sequence" VALUES('users',0);
INSERT INTO "sqlite_sequence" VALUES('history',10);
INSERT INTO "sqlite_sequence" VALUES('machines',1);
COMMIT;
