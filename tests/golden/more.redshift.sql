-- setup_1
CREATE SCHEMA IF NOT EXISTS "hightouch_audit";

-- setup_2
CREATE SCHEMA IF NOT EXISTS "hightouch_planner";

-- setup_3
GRANT CREATE, USAGE ON SCHEMA "hightouch_audit" TO "it's";

-- setup_4
GRANT CREATE, USAGE ON SCHEMA "hightouch_planner" TO "it's";

-- reset
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan"
DISTKEY (row_id)
SORTKEY (op, bucket) AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    "active" AS v_2,
    "born" AS v_3,
    CAST("email" AS VARCHAR(65535)) AS v_4,
    JSON_SERIALIZE("extra") AS v_5,
    "ltv" AS v_6,
    CAST("region" AS VARCHAR(65535)) AS v_7,
    "score" AS v_8,
    "seen" AS v_9,
    CAST("token" AS VARCHAR(65535)) AS v_10,
    "visited" AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(65535)) AS row_id, FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(FNV_HASH(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_3 IS NOT NULL THEN CAST(FNV_HASH(v_3) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_4 IS NOT NULL THEN CAST(OCTET_LENGTH(v_4) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_4) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_5 IS NOT NULL THEN CAST(OCTET_LENGTH(v_5) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_5) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_6 IS NOT NULL THEN CAST(FARMFINGERPRINT64(CASE WHEN strpos(CAST(v_6 AS VARCHAR(65535)), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS VARCHAR(65535)), '0'), '.') ELSE CAST(v_6 AS VARCHAR(65535)) END) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_7 IS NOT NULL THEN CAST(OCTET_LENGTH(v_7) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_7) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_8 IS NOT NULL THEN CAST(FNV_HASH(v_8 + 0) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_9 IS NOT NULL THEN CAST(FARMFINGERPRINT64(TO_CHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_10 IS NOT NULL THEN CAST(OCTET_LENGTH(v_10) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_10) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_11 IS NOT NULL THEN CAST(FARMFINGERPRINT64(TO_CHAR(TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS VARCHAR(20)) || ',' ELSE '-,' END) AS hash, TRUE AS in_model
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
  CAST(FARMFINGERPRINT64(row_id) & 16383 AS INTEGER) AS bucket,
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
FROM wcdc_joined;

-- drop_plan
DROP TABLE "hightouch_planner"."people_00000000000000000000000002_plan";

-- create_copy
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_adopted" (
  c_1 VARCHAR(65535),
  c_2 VARCHAR(65535),
  c_3 VARCHAR(65535),
  c_4 VARCHAR(65535),
  c_5 VARCHAR(65535),
  c_6 VARCHAR(65535),
  c_7 VARCHAR(65535),
  c_8 VARCHAR(65535),
  c_9 VARCHAR(65535),
  c_10 VARCHAR(65535),
  c_11 VARCHAR(65535),
  due INTEGER
);

-- held
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan"
DISTKEY (row_id)
SORTKEY (op, bucket) AS
WITH wcdc_stored AS (
  SELECT
    CAST(c_1 AS BIGINT) AS v_1,
    CAST(c_2 AS BOOLEAN) AS v_2,
    CAST(CASE WHEN c_3 LIKE '-%' AND c_3 <> '-infinity' OR c_3 LIKE '0000-%' THEN lpad(CAST(CAST(split_part(ltrim(c_3, '-'), '-', 1) AS INTEGER) + 1 AS VARCHAR(65535)), 4, '0') || substr(ltrim(c_3, '-'), length(split_part(ltrim(c_3, '-'), '-', 1)) + 1) || ' BC' ELSE c_3 END AS DATE) AS v_3,
    CAST(c_4 AS VARCHAR(65535)) AS v_4,
    CAST(c_5 AS VARCHAR(65535)) AS v_5,
    CAST(c_6 AS DECIMAL(12, 2)) AS v_6,
    CAST(c_7 AS VARCHAR(65535)) AS v_7,
    CAST(c_8 AS DOUBLE PRECISION) AS v_8,
    CAST(CASE WHEN c_9 LIKE '-%' AND c_9 <> '-infinity' OR c_9 LIKE '0000-%' THEN lpad(CAST(CAST(split_part(ltrim(replace(replace(c_9, 'T', ' '), 'Z', '+00'), '-'), '-', 1) AS INTEGER) + 1 AS VARCHAR(65535)), 4, '0') || substr(ltrim(replace(replace(c_9, 'T', ' '), 'Z', '+00'), '-'), length(split_part(ltrim(replace(replace(c_9, 'T', ' '), 'Z', '+00'), '-'), '-', 1)) + 1) || ' BC' ELSE replace(replace(c_9, 'T', ' '), 'Z', '+00') END AS TIMESTAMP) AS v_9,
    CAST(c_10 AS VARCHAR(65535)) AS v_10,
    CAST(CASE WHEN c_11 LIKE '-%' AND c_11 <> '-infinity' OR c_11 LIKE '0000-%' THEN lpad(CAST(CAST(split_part(ltrim(replace(replace(c_11, 'T', ' '), 'Z', '+00'), '-'), '-', 1) AS INTEGER) + 1 AS VARCHAR(65535)), 4, '0') || substr(ltrim(replace(replace(c_11, 'T', ' '), 'Z', '+00'), '-'), length(split_part(ltrim(replace(replace(c_11, 'T', ' '), 'Z', '+00'), '-'), '-', 1)) + 1) || ' BC' ELSE replace(replace(c_11, 'T', ' '), 'Z', '+00') END AS TIMESTAMP WITH TIME ZONE) AS v_11,
    due
  FROM "hightouch_planner"."people_00000000000000000000000002_adopted"
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(65535)) AS row_id, FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(FNV_HASH(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_3 IS NOT NULL THEN CAST(FNV_HASH(v_3) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_4 IS NOT NULL THEN CAST(OCTET_LENGTH(v_4) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_4) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_5 IS NOT NULL THEN CAST(OCTET_LENGTH(v_5) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_5) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_6 IS NOT NULL THEN CAST(FARMFINGERPRINT64(CASE WHEN strpos(CAST(v_6 AS VARCHAR(65535)), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS VARCHAR(65535)), '0'), '.') ELSE CAST(v_6 AS VARCHAR(65535)) END) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_7 IS NOT NULL THEN CAST(OCTET_LENGTH(v_7) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_7) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_8 IS NOT NULL THEN CAST(FNV_HASH(v_8 + 0) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_9 IS NOT NULL THEN CAST(FARMFINGERPRINT64(TO_CHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_10 IS NOT NULL THEN CAST(OCTET_LENGTH(v_10) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_10) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_11 IS NOT NULL THEN CAST(FARMFINGERPRINT64(TO_CHAR(TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS VARCHAR(20)) || ',' ELSE '-,' END) AS hash
  FROM wcdc_stored x
)
SELECT
  row_id,
  CASE WHEN row_id IS NULL THEN 'null_key' WHEN due = 0 THEN 'unchanged' WHEN due = 1 THEN 'changed' ELSE 'removed' END AS op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(FARMFINGERPRINT64(row_id) & 16383 AS INTEGER) AS bucket,
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
  CASE WHEN due > 0 THEN CAST('stale' AS VARCHAR(65535)) END AS was,
  due = 2 AS pending,
  CASE WHEN due > 0 THEN hash END AS was_hash,
  CASE WHEN due > 0 THEN CAST('' AS VARCHAR(65535)) END AS was_version,
  TRUE AS confirmed,
  CAST(NULL AS BIGINT) AS base_hash,
  CAST(NULL AS VARCHAR(65535)) AS key_run,
  CAST(NULL AS VARCHAR(65535)) AS try_run,
  CAST(NULL AS VARCHAR(65535)) AS try_of,
  CAST(NULL AS INTEGER) AS tries,
  CAST(NULL AS TIMESTAMPTZ) AS failed_since
FROM wcdc_current;

-- drop_copy
DROP TABLE "hightouch_planner"."people_00000000000000000000000002_adopted";

-- claim
CREATE TABLE "hightouch_planner"."people_000000000002_claim" AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(0 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(65535)) AS run_id, CAST('claimed' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{"owner": "me", "seconds": 60.0, "sync": "people"}' AS VARCHAR(65535)) AS data;

-- beat_first
CREATE TABLE "hightouch_planner"."people_000000000002_beats" AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(65535)) AS run_id, CAST('beat' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{}' AS VARCHAR(65535)) AS data;

-- beat
INSERT INTO "hightouch_planner"."people_000000000002_beats" (generation, entry, run_id, event, recorded_at, data) SELECT CAST(2 AS BIGINT) AS generation, CAST(2 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(65535)) AS run_id, CAST('beat' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{}' AS VARCHAR(65535)) AS data;

-- end_other
CREATE TABLE "hightouch_planner"."people_000000000001_end" AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR(65535)) AS run_id, CAST('delivered' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR(65535)) AS data;

-- done_other
CREATE TABLE "hightouch_planner"."people_000000000001_done" AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000001 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR(65535)) AS run_id, CAST('planned' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARCHAR(65535)", "kind": "json"}, "previous": {"name": "VARCHAR(65535)", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE PRECISION", "kind": "float"}, "previous": {"name": "DOUBLE PRECISION", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP WITH TIME ZONE", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP WITH TIME ZONE", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "f8df4d4be3c3a0ce", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR(65535)) AS data UNION ALL SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000002 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR(65535)) AS run_id, CAST('committed' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR(65535)) AS data;

-- plan_entry
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_rejections"
DISTKEY (row_id) AS
SELECT CAST(NULL AS VARCHAR(65535)) AS row_id, CAST(NULL AS VARCHAR(65535)) AS op, CAST(NULL AS INTEGER) AS chunk, CAST(NULL AS VARCHAR(65535)) AS outcome, CAST(NULL AS VARCHAR(65535)) AS reason, CAST(NULL AS BOOLEAN) AS permanent, CAST(NULL AS INTEGER) AS attempts, CAST(NULL AS TIMESTAMPTZ) AS first_failed_at, CAST(NULL AS TIMESTAMPTZ) AS last_failed_at, generation, entry, run_id, event, recorded_at, data FROM (
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(65535)) AS run_id, CAST('planned' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARCHAR(65535)", "kind": "json"}, "previous": {"name": "VARCHAR(65535)", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE PRECISION", "kind": "float"}, "previous": {"name": "DOUBLE PRECISION", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP WITH TIME ZONE", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP WITH TIME ZONE", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "f8df4d4be3c3a0ce", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR(65535)) AS data
) wcdc_entry;

-- end
CREATE TABLE "hightouch_planner"."people_000000000002_end" AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1999999999 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(65535)) AS run_id, CAST('planned' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARCHAR(65535)", "kind": "json"}, "previous": {"name": "VARCHAR(65535)", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE PRECISION", "kind": "float"}, "previous": {"name": "DOUBLE PRECISION", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR(65535)", "kind": "text"}, "previous": {"name": "VARCHAR(65535)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP WITH TIME ZONE", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP WITH TIME ZONE", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "f8df4d4be3c3a0ce", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR(65535)) AS data UNION ALL SELECT CAST(2 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(65535)) AS run_id, CAST('committed' AS VARCHAR(65535)) AS event, CAST(GETDATE() AS TIMESTAMPTZ) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR(65535)) AS data;

-- look
SELECT generation, entry, run_id, event, recorded_at, data FROM "hightouch_planner"."people_000000000002_claim" WHERE event IS NOT NULL UNION ALL SELECT generation, entry, run_id, event, recorded_at, data FROM "hightouch_planner"."people_000000000002_beats" WHERE event IS NOT NULL;

-- left
SELECT entry, event, DATEDIFF(second, recorded_at, CAST(GETDATE() AS TIMESTAMPTZ)) AS age, data FROM "hightouch_planner"."people_000000000002_claim" UNION ALL SELECT entry, event, DATEDIFF(second, recorded_at, CAST(GETDATE() AS TIMESTAMPTZ)) AS age, data FROM "hightouch_planner"."people_000000000002_beats";

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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent: it''s "over"\\
'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(2 * OCTET_LENGTH(p_4) - OCTET_LENGTH(REPLACE(REPLACE(p_4, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_4, '[[:cntrl:]]'), 0) + COALESCE(OCTET_LENGTH(p_5), 0) + COALESCE(2 * OCTET_LENGTH(p_7) - OCTET_LENGTH(REPLACE(REPLACE(p_7, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_7, '[[:cntrl:]]'), 0) + COALESCE(2 * OCTET_LENGTH(p_10) - OCTET_LENGTH(REPLACE(REPLACE(p_10, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_10, '[[:cntrl:]]'), 0) <= 64519 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"active":' || COALESCE(CASE WHEN p_2 THEN 'true' WHEN NOT p_2 THEN 'false' END, 'null') || ',' || '"born":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(p_3, 'YYYY-MM-DD') AS SUPER)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(p_4 AS SUPER)), 'null') || ',' || '"extra":' || COALESCE(p_5, 'null') || ',' || '"ltv":' || COALESCE(CASE WHEN strpos(CAST(p_6 AS VARCHAR(65535)), '.') > 0 THEN rtrim(rtrim(CAST(p_6 AS VARCHAR(65535)), '0'), '.') ELSE CAST(p_6 AS VARCHAR(65535)) END, 'null') || ',' || '"region":' || COALESCE(JSON_SERIALIZE(CAST(p_7 AS SUPER)), 'null') || ',' || '"score":' || COALESCE(CASE WHEN UPPER(CASE WHEN ABS(p_8) < 1e18 AND p_8 = TRUNC(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(p_8 AS VARCHAR(65535)) END) LIKE '%N%' THEN JSON_SERIALIZE(CAST(CASE WHEN ABS(p_8) < 1e18 AND p_8 = TRUNC(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(p_8 AS VARCHAR(65535)) END AS SUPER)) ELSE CASE WHEN ABS(p_8) < 1e18 AND p_8 = TRUNC(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(p_8 AS VARCHAR(65535)) END END, 'null') || ',' || '"seen":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(p_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || ',' || '"token":' || COALESCE(JSON_SERIALIZE(CAST(p_10 AS SUPER)), 'null') || ',' || '"visited":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(TIMEZONE('UTC', p_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"active":' || COALESCE(CASE WHEN p_2 THEN 'true' WHEN NOT p_2 THEN 'false' END, 'null') || ',' || '"born":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(p_3, 'YYYY-MM-DD') AS SUPER)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_4, 2688) AS SUPER)), 'null') || ',' || '"extra":' || COALESCE(CASE WHEN COALESCE(OCTET_LENGTH(p_5), 0) <= 16129 THEN p_5 ELSE JSON_SERIALIZE(CAST(LEFT(p_5, 2688) AS SUPER)) END, 'null') || ',' || '"ltv":' || COALESCE(CASE WHEN strpos(CAST(p_6 AS VARCHAR(65535)), '.') > 0 THEN rtrim(rtrim(CAST(p_6 AS VARCHAR(65535)), '0'), '.') ELSE CAST(p_6 AS VARCHAR(65535)) END, 'null') || ',' || '"region":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_7, 2688) AS SUPER)), 'null') || ',' || '"score":' || COALESCE(CASE WHEN UPPER(CASE WHEN ABS(p_8) < 1e18 AND p_8 = TRUNC(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(p_8 AS VARCHAR(65535)) END) LIKE '%N%' THEN JSON_SERIALIZE(CAST(CASE WHEN ABS(p_8) < 1e18 AND p_8 = TRUNC(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(p_8 AS VARCHAR(65535)) END AS SUPER)) ELSE CASE WHEN ABS(p_8) < 1e18 AND p_8 = TRUNC(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(p_8 AS VARCHAR(65535)) END END, 'null') || ',' || '"seen":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(p_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || ',' || '"token":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_10, 2688) AS SUPER)), 'null') || ',' || '"visited":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(TIMEZONE('UTC', p_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || '}') END ELSE CASE WHEN COALESCE(2 * OCTET_LENGTH(v_4) - OCTET_LENGTH(REPLACE(REPLACE(v_4, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_4, '[[:cntrl:]]'), 0) + COALESCE(OCTET_LENGTH(v_5), 0) + COALESCE(2 * OCTET_LENGTH(v_7) - OCTET_LENGTH(REPLACE(REPLACE(v_7, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_7, '[[:cntrl:]]'), 0) + COALESCE(2 * OCTET_LENGTH(v_10) - OCTET_LENGTH(REPLACE(REPLACE(v_10, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_10, '[[:cntrl:]]'), 0) <= 64519 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"active":' || COALESCE(CASE WHEN v_2 THEN 'true' WHEN NOT v_2 THEN 'false' END, 'null') || ',' || '"born":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(v_3, 'YYYY-MM-DD') AS SUPER)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(v_4 AS SUPER)), 'null') || ',' || '"extra":' || COALESCE(v_5, 'null') || ',' || '"ltv":' || COALESCE(CASE WHEN strpos(CAST(v_6 AS VARCHAR(65535)), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS VARCHAR(65535)), '0'), '.') ELSE CAST(v_6 AS VARCHAR(65535)) END, 'null') || ',' || '"region":' || COALESCE(JSON_SERIALIZE(CAST(v_7 AS SUPER)), 'null') || ',' || '"score":' || COALESCE(CASE WHEN UPPER(CASE WHEN ABS(v_8) < 1e18 AND v_8 = TRUNC(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(v_8 AS VARCHAR(65535)) END) LIKE '%N%' THEN JSON_SERIALIZE(CAST(CASE WHEN ABS(v_8) < 1e18 AND v_8 = TRUNC(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(v_8 AS VARCHAR(65535)) END AS SUPER)) ELSE CASE WHEN ABS(v_8) < 1e18 AND v_8 = TRUNC(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(v_8 AS VARCHAR(65535)) END END, 'null') || ',' || '"seen":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || ',' || '"token":' || COALESCE(JSON_SERIALIZE(CAST(v_10 AS SUPER)), 'null') || ',' || '"visited":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"active":' || COALESCE(CASE WHEN v_2 THEN 'true' WHEN NOT v_2 THEN 'false' END, 'null') || ',' || '"born":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(v_3, 'YYYY-MM-DD') AS SUPER)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_4, 2688) AS SUPER)), 'null') || ',' || '"extra":' || COALESCE(CASE WHEN COALESCE(OCTET_LENGTH(v_5), 0) <= 16129 THEN v_5 ELSE JSON_SERIALIZE(CAST(LEFT(v_5, 2688) AS SUPER)) END, 'null') || ',' || '"ltv":' || COALESCE(CASE WHEN strpos(CAST(v_6 AS VARCHAR(65535)), '.') > 0 THEN rtrim(rtrim(CAST(v_6 AS VARCHAR(65535)), '0'), '.') ELSE CAST(v_6 AS VARCHAR(65535)) END, 'null') || ',' || '"region":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_7, 2688) AS SUPER)), 'null') || ',' || '"score":' || COALESCE(CASE WHEN UPPER(CASE WHEN ABS(v_8) < 1e18 AND v_8 = TRUNC(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(v_8 AS VARCHAR(65535)) END) LIKE '%N%' THEN JSON_SERIALIZE(CAST(CASE WHEN ABS(v_8) < 1e18 AND v_8 = TRUNC(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(v_8 AS VARCHAR(65535)) END AS SUPER)) ELSE CASE WHEN ABS(v_8) < 1e18 AND v_8 = TRUNC(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS VARCHAR(65535)) ELSE CAST(v_8 AS VARCHAR(65535)) END END, 'null') || ',' || '"seen":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || ',' || '"token":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_10, 2688) AS SUPER)), 'null') || ',' || '"visited":' || COALESCE(JSON_SERIALIZE(CAST(TO_CHAR(TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS SUPER)), 'null') || '}') END END AS fields
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
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 1)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_changelog" t WHERE (t.sync_id = 'people' AND SHA2(t.sync_id, 256) = SHA2('people', 256)) AND t.sync_run_id = '00000000000000000000000002');

-- sync_run
INSERT INTO "hightouch_audit"."sync_runs" (sync_id, sync_run_id, primary_key, destination, model_name, model_id, status, error, started_at, finished_at, num_planned_add, num_planned_change, num_planned_remove, num_attempted_add, num_attempted_change, num_attempted_remove, num_succeeded_add, num_succeeded_change, num_succeeded_remove, num_failed_add, num_failed_change, num_failed_remove) SELECT 'people', '00000000000000000000000002', 'id', 'crm', 'it''s', 'people', 'failed', CAST('it''s "over"\\
' AS VARCHAR(65535)), CAST('1970-01-01 00:00:00+00:00' AS TIMESTAMPTZ), GETDATE(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_runs" WHERE (sync_id = 'people' AND SHA2(sync_id, 256) = SHA2('people', 256)) AND sync_run_id = '00000000000000000000000002');
