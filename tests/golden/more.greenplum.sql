-- setup_1
CREATE SCHEMA IF NOT EXISTS "hightouch_audit";

-- setup_2
CREATE SCHEMA IF NOT EXISTS "hightouch_planner";

-- setup_3
GRANT CREATE, USAGE ON SCHEMA "hightouch_audit" TO "it's";

-- setup_4
GRANT CREATE, USAGE ON SCHEMA "hightouch_planner" TO "it's";

-- reset
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan" AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    "active" AS v_2,
    "born" AS v_3,
    ("email")::text COLLATE "C" AS v_4,
    "extra" AS v_5,
    "ltv" AS v_6,
    ("region")::text COLLATE "C" AS v_7,
    "score" AS v_8,
    "seen" AS v_9,
    "token" AS v_10,
    "visited" AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (((v_1)::text) COLLATE "C") COLLATE "C" AS row_id, hashtextextended(coalesce(CAST(length(((v_1)::text) COLLATE "C") AS TEXT) || ':' || ((v_1)::text) COLLATE "C", '-') || coalesce(CAST(length(((v_2)::text) COLLATE "C") AS TEXT) || ':' || ((v_2)::text) COLLATE "C", '-') || coalesce(CAST(length(((v_3)::text) COLLATE "C") AS TEXT) || ':' || ((v_3)::text) COLLATE "C", '-') || coalesce(CAST(length(((v_4)::text) COLLATE "C") AS TEXT) || ':' || ((v_4)::text) COLLATE "C", '-') || coalesce(CAST(length(((CASE WHEN strpos((v_5)::text, '\u0000') > 0 THEN to_jsonb((v_5)::text) ELSE (v_5)::jsonb END)::text) COLLATE "C") AS TEXT) || ':' || ((CASE WHEN strpos((v_5)::text, '\u0000') > 0 THEN to_jsonb((v_5)::text) ELSE (v_5)::jsonb END)::text) COLLATE "C", '-') || coalesce(CAST(length(CASE WHEN strpos(CAST(v_6 AS TEXT), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS TEXT), '0'), '.') ELSE CAST(v_6 AS TEXT) END) AS TEXT) || ':' || CASE WHEN strpos(CAST(v_6 AS TEXT), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS TEXT), '0'), '.') ELSE CAST(v_6 AS TEXT) END, '-') || coalesce(CAST(length(((v_7)::text) COLLATE "C") AS TEXT) || ':' || ((v_7)::text) COLLATE "C", '-') || coalesce(CAST(length((CASE WHEN abs(v_8) < 1e18 AND v_8 = trunc(v_8) THEN (v_8)::bigint::text ELSE (v_8)::text END) COLLATE "C") AS TEXT) || ':' || (CASE WHEN abs(v_8) < 1e18 AND v_8 = trunc(v_8) THEN (v_8)::bigint::text ELSE (v_8)::text END) COLLATE "C", '-') || coalesce(CAST(length((CASE WHEN isfinite(v_9) THEN to_char(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN v_9 < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (v_9)::text END) COLLATE "C") AS TEXT) || ':' || (CASE WHEN isfinite(v_9) THEN to_char(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN v_9 < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (v_9)::text END) COLLATE "C", '-') || coalesce(CAST(length(((v_10)::text) COLLATE "C") AS TEXT) || ':' || ((v_10)::text) COLLATE "C", '-') || coalesce(CAST(length((CASE WHEN isfinite(timezone('UTC', v_11)) THEN to_char(timezone('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN timezone('UTC', v_11) < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (timezone('UTC', v_11))::text END) COLLATE "C") AS TEXT) || ':' || (CASE WHEN isfinite(timezone('UTC', v_11)) THEN to_char(timezone('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN timezone('UTC', v_11) < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (timezone('UTC', v_11))::text END) COLLATE "C", '-'), 0) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
    m.v_4 AS v_4,
    m.v_5 AS v_5,
    m.v_6 AS v_6,
    m.v_7 AS v_7,
    m.v_8 AS v_8,
    m.v_9 AS v_9,
    m.v_10 AS v_10,
    m.v_11 AS v_11,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      ELSE 'unchanged'
    END AS op
  FROM wcdc_current m
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  (hashtextextended(row_id, 0) & 16383)::integer AS bucket,
  hash,
  v_1,
  v_2,
  v_3,
  v_4,
  v_5,
  v_6,
  v_7,
  v_8,
  v_9,
  v_10,
  v_11
FROM wcdc_joined
DISTRIBUTED BY (row_id);

-- drop_plan
DROP TABLE "hightouch_planner"."people_00000000000000000000000002_plan";

-- create_copy
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_adopted" (
  c_1 TEXT,
  c_2 TEXT,
  c_3 TEXT,
  c_4 TEXT,
  c_5 TEXT,
  c_6 TEXT,
  c_7 TEXT,
  c_8 TEXT,
  c_9 TEXT,
  c_10 TEXT,
  c_11 TEXT,
  due INTEGER
)
DISTRIBUTED RANDOMLY;

-- held
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan" AS
WITH wcdc_stored AS (
  SELECT
    CAST(c_1 AS BIGINT) AS v_1,
    CAST(c_2 AS BOOLEAN) AS v_2,
    CAST(CASE WHEN c_3 LIKE '-%' AND c_3 <> '-infinity' OR c_3 LIKE '0000-%' THEN lpad(CAST(CAST(split_part(ltrim(c_3, '-'), '-', 1) AS INTEGER) + 1 AS TEXT), 4, '0') || substr(ltrim(c_3, '-'), length(split_part(ltrim(c_3, '-'), '-', 1)) + 1) || ' BC' ELSE c_3 END AS DATE) AS v_3,
    CAST(c_4 AS text) AS v_4,
    CAST(c_5 AS JSON) AS v_5,
    CAST(c_6 AS DECIMAL(12, 2)) AS v_6,
    CAST(c_7 AS text) AS v_7,
    CAST(c_8 AS DOUBLE PRECISION) AS v_8,
    CAST(CASE WHEN c_9 LIKE '-%' AND c_9 <> '-infinity' OR c_9 LIKE '0000-%' THEN lpad(CAST(CAST(split_part(ltrim(replace(replace(c_9, 'T', ' '), 'Z', '+00'), '-'), '-', 1) AS INTEGER) + 1 AS TEXT), 4, '0') || substr(ltrim(replace(replace(c_9, 'T', ' '), 'Z', '+00'), '-'), length(split_part(ltrim(replace(replace(c_9, 'T', ' '), 'Z', '+00'), '-'), '-', 1)) + 1) || ' BC' ELSE replace(replace(c_9, 'T', ' '), 'Z', '+00') END AS TIMESTAMP) AS v_9,
    CAST(c_10 AS UUID) AS v_10,
    CAST(CASE WHEN c_11 LIKE '-%' AND c_11 <> '-infinity' OR c_11 LIKE '0000-%' THEN lpad(CAST(CAST(split_part(ltrim(replace(replace(c_11, 'T', ' '), 'Z', '+00'), '-'), '-', 1) AS INTEGER) + 1 AS TEXT), 4, '0') || substr(ltrim(replace(replace(c_11, 'T', ' '), 'Z', '+00'), '-'), length(split_part(ltrim(replace(replace(c_11, 'T', ' '), 'Z', '+00'), '-'), '-', 1)) + 1) || ' BC' ELSE replace(replace(c_11, 'T', ' '), 'Z', '+00') END AS TIMESTAMPTZ) AS v_11,
    due
  FROM "hightouch_planner"."people_00000000000000000000000002_adopted"
),
wcdc_current AS (
  SELECT x.*, (((v_1)::text) COLLATE "C") COLLATE "C" AS row_id, hashtextextended(coalesce(CAST(length(((v_1)::text) COLLATE "C") AS TEXT) || ':' || ((v_1)::text) COLLATE "C", '-') || coalesce(CAST(length(((v_2)::text) COLLATE "C") AS TEXT) || ':' || ((v_2)::text) COLLATE "C", '-') || coalesce(CAST(length(((v_3)::text) COLLATE "C") AS TEXT) || ':' || ((v_3)::text) COLLATE "C", '-') || coalesce(CAST(length(((v_4)::text) COLLATE "C") AS TEXT) || ':' || ((v_4)::text) COLLATE "C", '-') || coalesce(CAST(length(((CASE WHEN strpos((v_5)::text, '\u0000') > 0 THEN to_jsonb((v_5)::text) ELSE (v_5)::jsonb END)::text) COLLATE "C") AS TEXT) || ':' || ((CASE WHEN strpos((v_5)::text, '\u0000') > 0 THEN to_jsonb((v_5)::text) ELSE (v_5)::jsonb END)::text) COLLATE "C", '-') || coalesce(CAST(length(CASE WHEN strpos(CAST(v_6 AS TEXT), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS TEXT), '0'), '.') ELSE CAST(v_6 AS TEXT) END) AS TEXT) || ':' || CASE WHEN strpos(CAST(v_6 AS TEXT), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS TEXT), '0'), '.') ELSE CAST(v_6 AS TEXT) END, '-') || coalesce(CAST(length(((v_7)::text) COLLATE "C") AS TEXT) || ':' || ((v_7)::text) COLLATE "C", '-') || coalesce(CAST(length((CASE WHEN abs(v_8) < 1e18 AND v_8 = trunc(v_8) THEN (v_8)::bigint::text ELSE (v_8)::text END) COLLATE "C") AS TEXT) || ':' || (CASE WHEN abs(v_8) < 1e18 AND v_8 = trunc(v_8) THEN (v_8)::bigint::text ELSE (v_8)::text END) COLLATE "C", '-') || coalesce(CAST(length((CASE WHEN isfinite(v_9) THEN to_char(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN v_9 < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (v_9)::text END) COLLATE "C") AS TEXT) || ':' || (CASE WHEN isfinite(v_9) THEN to_char(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN v_9 < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (v_9)::text END) COLLATE "C", '-') || coalesce(CAST(length(((v_10)::text) COLLATE "C") AS TEXT) || ':' || ((v_10)::text) COLLATE "C", '-') || coalesce(CAST(length((CASE WHEN isfinite(timezone('UTC', v_11)) THEN to_char(timezone('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN timezone('UTC', v_11) < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (timezone('UTC', v_11))::text END) COLLATE "C") AS TEXT) || ':' || (CASE WHEN isfinite(timezone('UTC', v_11)) THEN to_char(timezone('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || CASE WHEN timezone('UTC', v_11) < timestamp '0001-01-01' THEN ' BC' ELSE '' END ELSE (timezone('UTC', v_11))::text END) COLLATE "C", '-'), 0) AS hash
  FROM wcdc_stored x
)
SELECT
  row_id,
  CASE WHEN row_id IS NULL THEN 'null_key' WHEN due = 0 THEN 'unchanged' WHEN due = 1 THEN 'changed' ELSE 'removed' END AS op,
  CAST(NULL AS BIGINT) AS copies,
  (hashtextextended(row_id, 0) & 16383)::integer AS bucket,
  hash,
  v_1,
  CASE WHEN due > 0 THEN v_1 END AS p_1,
  v_2,
  CASE WHEN due > 0 THEN v_2 END AS p_2,
  v_3,
  CASE WHEN due > 0 THEN v_3 END AS p_3,
  v_4,
  CASE WHEN due > 0 THEN v_4 END AS p_4,
  v_5,
  CASE WHEN due > 0 THEN v_5 END AS p_5,
  v_6,
  CASE WHEN due > 0 THEN v_6 END AS p_6,
  v_7,
  CASE WHEN due > 0 THEN v_7 END AS p_7,
  v_8,
  CASE WHEN due > 0 THEN v_8 END AS p_8,
  v_9,
  CASE WHEN due > 0 THEN v_9 END AS p_9,
  v_10,
  CASE WHEN due > 0 THEN v_10 END AS p_10,
  v_11,
  CASE WHEN due > 0 THEN v_11 END AS p_11,
  CASE WHEN due > 0 THEN CAST('stale' AS TEXT) END AS was,
  due = 2 AS pending,
  CASE WHEN due > 0 THEN hash END AS was_hash,
  CASE WHEN due > 0 THEN CAST('' AS TEXT) END AS was_version,
  TRUE AS confirmed,
  CAST(NULL AS BIGINT) AS base_hash,
  CAST(NULL AS TEXT) AS key_run,
  CAST(NULL AS TEXT) AS try_run,
  CAST(NULL AS TEXT) AS try_of,
  CAST(NULL AS INTEGER) AS tries,
  CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since
FROM wcdc_current
DISTRIBUTED BY (row_id);

-- drop_copy
DROP TABLE "hightouch_planner"."people_00000000000000000000000002_adopted";

-- claim_row
INSERT INTO "hightouch_planner"."wcdc_leases" (sync_id, generation, expires_at) VALUES ('people', 0, clock_timestamp()) ON CONFLICT (sync_id) DO NOTHING;

-- claim_look
SELECT generation, run_id, owner, -CAST(EXTRACT(EPOCH FROM (clock_timestamp() - expires_at)) AS DOUBLE PRECISION) FROM "hightouch_planner"."wcdc_leases" WHERE sync_id = 'people' FOR UPDATE NOWAIT;

-- claim_last
SELECT max(run_id), max(generation) FROM "hightouch_planner"."wcdc_journal" WHERE sync_id = 'people';

-- claim
UPDATE "hightouch_planner"."wcdc_leases" SET generation = 2, run_id = '00000000000000000000000002', owner = 'me', expires_at = clock_timestamp() + INTERVAL '60.0 seconds' WHERE sync_id = 'people';

-- claim_entry
INSERT INTO "hightouch_planner"."wcdc_journal" (sync_id, generation, entry, run_id, event, recorded_at, data) VALUES ('people', 2, 0, '00000000000000000000000002', 'claimed', clock_timestamp(), '{}');

-- claim_time
SELECT recorded_at FROM "hightouch_planner"."wcdc_journal" WHERE sync_id = 'people' AND generation = 2;

-- end_other
INSERT INTO "hightouch_planner"."wcdc_journal" (sync_id, generation, entry, run_id, event, recorded_at, data) VALUES ('people', 1, 1, '00000000000000000000000001', 'delivered', clock_timestamp(), '{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}');

-- plan_entry
INSERT INTO "hightouch_planner"."wcdc_journal" (sync_id, generation, entry, run_id, event, recorded_at, data) VALUES ('people', 2, 1, '00000000000000000000000002', 'planned', clock_timestamp(), '{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "text", "kind": "text"}, "previous": {"name": "text", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "JSON", "kind": "json"}, "previous": {"name": "JSON", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "text", "kind": "text"}, "previous": {"name": "text", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE PRECISION", "kind": "float"}, "previous": {"name": "DOUBLE PRECISION", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "UUID", "kind": "uuid"}, "previous": {"name": "UUID", "kind": "uuid"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMPTZ", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMPTZ", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "1da0a3668babde89", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}');

-- fence
SELECT generation FROM "hightouch_planner"."wcdc_leases" WHERE sync_id = 'people' AND generation = 2 AND run_id IS NOT NULL FOR KEY SHARE;

-- expire
UPDATE "hightouch_planner"."wcdc_leases" SET owner = NULL, expires_at = expires_at - INTERVAL '1 day' WHERE sync_id = 'people' AND generation = 2;

-- beat
UPDATE "hightouch_planner"."wcdc_leases" SET expires_at = clock_timestamp() + INTERVAL '60.0 seconds' WHERE sync_id = 'people' AND generation = 2 AND run_id IS NOT NULL RETURNING generation;

-- end
INSERT INTO "hightouch_planner"."wcdc_journal" (sync_id, generation, entry, run_id, event, recorded_at, data) VALUES ('people', 2, 2, '00000000000000000000000002', 'committed', clock_timestamp(), '{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}');

-- release
UPDATE "hightouch_planner"."wcdc_leases" SET run_id = NULL, owner = NULL WHERE sync_id = 'people' AND generation = 2;

-- changelog_again
INSERT INTO "hightouch_audit"."sync_changelog" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'people', '00000000000000000000000002', op_type, row_id, status, failure_reason, fields
FROM (
SELECT
  row_id,
  outcome,
  op,
  CASE
    WHEN copies > 1 THEN CASE WHEN coalesce(was, 'absent') = 'absent' THEN 'added' ELSE 'changed' END
    WHEN op = 'kept' THEN 'unchanged'
    ELSE op
  END AS op_type,
  CASE
    WHEN copies > 1 THEN 'failed'
    WHEN outcome IN ('failed', 'unknown') THEN 'failed'
    WHEN outcome = 'aborted' THEN 'aborted'
    ELSE 'succeeded'
  END AS status,
  CASE
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS TEXT) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent: it''s "over"\
'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN (jsonb_build_object('id'::text, p_1, 'active'::text, p_2, 'born'::text, p_3, 'email'::text, p_4, 'extra'::text, CASE WHEN strpos((p_5)::text, '\u0000') > 0 THEN to_jsonb((p_5)::text) ELSE (p_5)::jsonb END, 'ltv'::text, p_6, 'region'::text, p_7, 'score'::text, p_8, 'seen'::text, p_9, 'token'::text, p_10, 'visited'::text, p_11)) ELSE (jsonb_build_object('id'::text, v_1, 'active'::text, v_2, 'born'::text, v_3, 'email'::text, v_4, 'extra'::text, CASE WHEN strpos((v_5)::text, '\u0000') > 0 THEN to_jsonb((v_5)::text) ELSE (v_5)::jsonb END, 'ltv'::text, v_6, 'region'::text, v_7, 'score'::text, v_8, 'seen'::text, v_9, 'token'::text, v_10, 'visited'::text, v_11)) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' AND p.bucket >= 0 AND p.bucket <= 16383 THEN 'unknown'
    ELSE 'aborted'
  END AS outcome
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 1)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_changelog" t WHERE t.sync_id = 'people' AND t.sync_run_id = '00000000000000000000000002');

-- sync_run
INSERT INTO "hightouch_audit"."sync_runs" (sync_id, sync_run_id, primary_key, destination, model_name, model_id, status, error, started_at, finished_at, num_planned_add, num_planned_change, num_planned_remove, num_attempted_add, num_attempted_change, num_attempted_remove, num_succeeded_add, num_succeeded_change, num_succeeded_remove, num_failed_add, num_failed_change, num_failed_remove) SELECT 'people', '00000000000000000000000002', 'id', 'crm', 'it''s', 'people', 'failed', CAST('it''s "over"\
' AS TEXT), CAST('1970-01-01 00:00:00+00:00' AS TIMESTAMP WITH TIME ZONE), clock_timestamp(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_runs" WHERE sync_id = 'people' AND sync_run_id = '00000000000000000000000002');
