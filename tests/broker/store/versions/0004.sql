-- A store as version 4 made it, with a row of everything; made once and never changed.
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE alerts (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, survey TEXT NOT NULL, night INTEGER NOT NULL,
        rows INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, columns BLOB NOT NULL
    ) STRICT;
INSERT INTO "alerts" VALUES(1,1,'ztf',18267,3,1578369600000000,1578369600000002,X'28B52FFD60B6019D0B00A692443450AB73304BEBA7AD4196C8380A574C0CC67755E226C92DEDB252C94E11A9F233C00CBE1311193944B0900225A9230D5D9DFA28053200320039001F6A2ED962CC96E18C3997B1270D45F7BEB2C55887A4390408648B319FE18CE5C73ABD6B1E654C3D1455B62E19D30870F228348C34F4BD17C3668BB12D4A51FDEE41FD9DCF0FFC62A5DD7DE057CDABCB58E9FC8D2DBE3A24CE587E0D9AD323D65EE7120114C94046C387C586B211C84A302A3A1C042C1CCFE7E2783E158EE7B391856C552AB1E57BEE27E879A5221A677720BD68A839D566C7FEE6E21696BEBAD2BB131B19035495B06D1BC52EC771BBBB9AD3896357E16277E2A90B8204D098780AC3602A089878EA60E181C003DB0DA5D2842654B5092A20700252683DA30713B00F3C3636C208E2C03D834568377076E1422A76E76DDC0C5E61C16E4F5C93785F6B663363DDE871C3D09084CE09F045A88D1CD462CA840D695B8B89D6DD98814A848EE769C973B086D1E0C5331FBBA87C5526CA');
CREATE TABLE annotation (
        survey TEXT NOT NULL, object_id TEXT NOT NULL, catalogue TEXT NOT NULL, answered_us INTEGER NOT NULL,
        document TEXT NOT NULL, PRIMARY KEY (survey, object_id, catalogue)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "annotation" VALUES('ztf','ZTF20aaeqmed','simbad',1578540000000000,'{"catalogue": "simbad", "answer": "found", "name": "3C 273", "separation_arcsec": 0.36, "kind": "QSO", "star_probability": null, "redshift": 0.158, "distance_mpc": null, "distance_err_mpc": null, "values": {"other_types": "QSO|AGN"}}');
CREATE TABLE capped (
        substream TEXT NOT NULL, night INTEGER NOT NULL, coincidence_id TEXT NOT NULL, revision INTEGER NOT NULL,
        PRIMARY KEY (substream, night, coincidence_id, revision),
        FOREIGN KEY (coincidence_id, revision) REFERENCES coincidence (id, revision)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "capped" VALUES('bright',18000,'grb-5b0f7c2a9d1e4f36',2);
CREATE TABLE checkpoint (
        survey TEXT PRIMARY KEY, seq INTEGER NOT NULL, objects INTEGER NOT NULL, made_us INTEGER NOT NULL,
        folder TEXT NOT NULL UNIQUE
    ) STRICT;
CREATE TABLE "coincidence" (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL, trigger_id TEXT NOT NULL,
        changed_us INTEGER NOT NULL, stored_us INTEGER NOT NULL, document TEXT NOT NULL,
        matcher TEXT GENERATED ALWAYS AS (json_extract(document, '$.matcher')) VIRTUAL,
        survey TEXT GENERATED ALWAYS AS (json_extract(document, '$.object.survey')) VIRTUAL,
        object_id TEXT GENERATED ALWAYS AS (json_extract(document, '$.object.object_id')) VIRTUAL,
        private_to TEXT GENERATED ALWAYS AS (coalesce(json_extract(document, '$.trigger.private_to'), '')) VIRTUAL,
        UNIQUE (id, revision)
    ) STRICT;
INSERT INTO "coincidence" VALUES(1,'grb-5b0f7c2a9d1e4f36',2,'updated','fermi-gbm:600117987',1578539459999999,1600000000000000,'{"schema_version":"1.1","id":"grb-5b0f7c2a9d1e4f36","revision":2,"state":"updated","reason":"new_alerts","changed_utc":"2020-01-09T03:10:59.999999Z","matcher":"grb","trigger":{"id":"fermi-gbm:600117987","names":["bn200107045","GRB 200107A"],"messenger":"gamma-ray","mission":"Fermi","instrument":"GBM","time_utc":"2020-01-07T01:04:42.250000Z","revision":3,"ivorn":"ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_2020-01-07T01:04:42.25_600117987_46-431","origin":"2020-01.tar.gz/600117987_gnd.xml","localisation_model":"core and tail of Fermi-GBM''s ground systematics, statistical radius 3.2 deg at 68 %","far_hz":1.5e-09,"significance":12.5,"significance_unit":"sigma","test":false,"links":{"lightcurve":"https://example.org/glg_lc_medres34_bn200107045.gif?a=1&b=2"}},"object":{"survey":"ztf","object_id":"ZTF20aaeqmed","alert_ids":[1102244560015015009,1103244560015015011],"ra_deg":37.6801234,"dec_deg":-8.4412345,"first_detection_utc":"2020-01-08T03:22:10.500000Z","first_match_utc":"2020-01-08T03:22:10.500000Z","last_match_utc":"2020-01-09T03:10:59.999999Z","mag":19.125,"mag_err":0.0625,"band":"g","light_curve":[{"alert_id":1102244560015015009,"time_utc":"2020-01-08T03:22:10.500000Z","band":"r","mag":19.5,"mag_err":0.125},{"alert_id":1103244560015015011,"time_utc":"2020-01-09T03:10:59.999999Z","band":"g","mag":19.125,"mag_err":0.0625}]},"delta_t_s":94648.25,"separation_deg":2.75,"credible_level":0.3125,"probability_density_per_sr":12.5,"overlap":157.07963267948966,"area_90_deg2":201.5,"provenance":{"software":"starcross 0.1.0","config_hash":"0f1e2d3c4b5a6978","inputs":["2020-01.tar.gz/600117987_gnd.xml","ztf_public_20200108.tar.gz/1102244560015015009.avro"]}}');
CREATE TABLE file (
        folder TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL, digest BLOB NOT NULL,
        PRIMARY KEY (folder, name)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE horizon (
        seq INTEGER PRIMARY KEY, horizon_us INTEGER NOT NULL
    ) STRICT;
CREATE TABLE noted (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, survey TEXT NOT NULL, rows INTEGER NOT NULL,
        columns BLOB NOT NULL
    ) STRICT;
INSERT INTO "noted" VALUES(1,1,'ztf',1,X'28B52FFD20B0F5030064067B22726F7773223A312C227479706573223A7B22616C6572745F6964223A223C6938222C226F626A65637C5334222C2274696D655F757366697273745F646574656374696F6E6C6173745F6E6F6E7D7D0A0007005A5446371055CF849B05000000000000008008002B55665E0206C60D24289AF3C9EBA2CA5765B30C');
CREATE TABLE notice (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, ivorn TEXT NOT NULL, digest BLOB NOT NULL, trigger_id TEXT,
        origin TEXT NOT NULL, topic TEXT NOT NULL, heard_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
        body BLOB NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0, UNIQUE (ivorn, digest)
    ) STRICT;
INSERT INTO "notice" VALUES(1,1,'ivo://t/n#1',X'B6D04AC79E88E51A0DCE219101C92F40','fermi-gbm:1','n/1','',3,11,X'28B52FFD200B59000069766F3A2F2F742F6E2331',0);
CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, stored_us INTEGER NOT NULL,
        coincidence_id TEXT, revision INTEGER, substreams TEXT NOT NULL, notice_id INTEGER REFERENCES notice (id),
        FOREIGN KEY (coincidence_id, revision) REFERENCES coincidence (id, revision),
        CHECK ((coincidence_id IS NULL) <> (notice_id IS NULL)),
        CHECK ((coincidence_id IS NULL) = (revision IS NULL))
    ) STRICT;
INSERT INTO "outbox" VALUES(1,'kafka',1600000000000000,'grb-5b0f7c2a9d1e4f36',2,'["all"]',NULL);
INSERT INTO "outbox" VALUES(2,'vtp',1600000000000000,NULL,NULL,'[]',1);
CREATE TABLE packet (
        id INTEGER PRIMARY KEY, survey TEXT NOT NULL, alert_id INTEGER NOT NULL, object_id TEXT NOT NULL,
        time_us INTEGER NOT NULL, matched INTEGER NOT NULL, schema_id INTEGER, bytes INTEGER NOT NULL,
        body BLOB NOT NULL, UNIQUE (survey, alert_id)
    ) STRICT;
INSERT INTO "packet" VALUES(1,'ztf',1,'ZTF1',5,1,NULL,6,X'28B52FFD20063100007061636B6574');
CREATE TABLE part (
        id INTEGER PRIMARY KEY, survey TEXT NOT NULL, night INTEGER NOT NULL, rows INTEGER NOT NULL,
        first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, folder TEXT NOT NULL UNIQUE
    ) STRICT;
CREATE TABLE position (
        source TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
        PRIMARY KEY (source, name)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "position" VALUES('ztf','ztf_20261120_programid1[0]',4711);
CREATE TABLE rejected (
        id INTEGER PRIMARY KEY, stored_us INTEGER NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL,
        reason TEXT NOT NULL, detail TEXT NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
INSERT INTO "rejected" VALUES(1,1600000000000000,'ztf','o','truncated','cut',1,X'28B52FFD200109000078');
CREATE TABLE routed (
        substream TEXT NOT NULL, coincidence_id TEXT NOT NULL, first_us INTEGER NOT NULL,
        PRIMARY KEY (coincidence_id, substream)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "routed" VALUES('all','grb-5b0f7c2a9d1e4f36',1578539459999999);
CREATE TABLE skymap (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, trigger_id TEXT NOT NULL, ivorn TEXT NOT NULL,
        url TEXT NOT NULL, heard_us INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL,
        UNIQUE (trigger_id, ivorn)
    ) STRICT;
INSERT INTO "skymap" VALUES(1,1,'fermi-gbm:1','ivo://t/n#1','https://example.org/m.fits',4,3,X'28B52FFD20031900006D6170');
CREATE TABLE standing (
        id TEXT PRIMARY KEY, revision INTEGER NOT NULL, document TEXT NOT NULL,
        FOREIGN KEY (id, revision) REFERENCES coincidence (id, revision) ON DELETE CASCADE
    ) STRICT;
INSERT INTO "standing" VALUES('grb-5b0f7c2a9d1e4f36',2,'{"schema_version":"1.1","id":"grb-5b0f7c2a9d1e4f36","revision":2,"state":"updated","reason":"new_alerts","changed_utc":"2020-01-09T03:10:59.999999Z","matcher":"grb","trigger":{"id":"fermi-gbm:600117987","names":["bn200107045","GRB 200107A"],"messenger":"gamma-ray","mission":"Fermi","instrument":"GBM","time_utc":"2020-01-07T01:04:42.250000Z","revision":3,"ivorn":"ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_2020-01-07T01:04:42.25_600117987_46-431","origin":"2020-01.tar.gz/600117987_gnd.xml","localisation_model":"core and tail of Fermi-GBM''s ground systematics, statistical radius 3.2 deg at 68 %","far_hz":1.5e-09,"significance":12.5,"significance_unit":"sigma","test":false,"links":{"lightcurve":"https://example.org/glg_lc_medres34_bn200107045.gif?a=1&b=2"}},"object":{"survey":"ztf","object_id":"ZTF20aaeqmed","alert_ids":[1102244560015015009,1103244560015015011],"ra_deg":37.6801234,"dec_deg":-8.4412345,"first_detection_utc":"2020-01-08T03:22:10.500000Z","first_match_utc":"2020-01-08T03:22:10.500000Z","last_match_utc":"2020-01-09T03:10:59.999999Z","mag":19.125,"mag_err":0.0625,"band":"g","light_curve":[{"alert_id":1102244560015015009,"time_utc":"2020-01-08T03:22:10.500000Z","band":"r","mag":19.5,"mag_err":0.125},{"alert_id":1103244560015015011,"time_utc":"2020-01-09T03:10:59.999999Z","band":"g","mag":19.125,"mag_err":0.0625}]},"delta_t_s":94648.25,"separation_deg":2.75,"credible_level":0.3125,"probability_density_per_sr":12.5,"overlap":157.07963267948966,"area_90_deg2":201.5,"provenance":{"software":"starcross 0.1.0","config_hash":"0f1e2d3c4b5a6978","inputs":["2020-01.tar.gz/600117987_gnd.xml","ztf_public_20200108.tar.gz/1102244560015015009.avro"]}}');
CREATE TABLE total (
        name TEXT PRIMARY KEY, value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_of_night ON alerts (survey, night, seq);
CREATE INDEX noted_by_seq ON noted (survey, seq);
CREATE INDEX packet_by_time ON packet (matched, time_us);
CREATE INDEX notice_of_trigger ON notice (trigger_id);
CREATE INDEX outbox_of_sink ON outbox (sink, id);
CREATE INDEX outbox_of_coincidence ON outbox (coincidence_id, revision);
CREATE INDEX outbox_of_notice ON outbox (notice_id);
CREATE INDEX capped_of_coincidence ON capped (coincidence_id, revision);
CREATE INDEX annotation_by_age ON annotation (answered_us);
CREATE INDEX coincidence_by_storing ON coincidence (stored_us);
CREATE INDEX coincidence_of_trigger ON coincidence (trigger_id);
CREATE INDEX coincidence_of_object ON coincidence (object_id, survey);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',2);
INSERT INTO "sqlite_sequence" VALUES('coincidence',1);
COMMIT;
