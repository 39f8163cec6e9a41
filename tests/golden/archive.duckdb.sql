-- setup_1
CREATE SCHEMA IF NOT EXISTS "hightouch_planner";

-- setup_2
CREATE SCHEMA IF NOT EXISTS "hightouch_audit";

-- create_wcdc_journal
CREATE TABLE "hightouch_planner"."wcdc_journal" (
  sync_id VARCHAR,
  generation BIGINT,
  entry INTEGER,
  run_id VARCHAR,
  event VARCHAR,
  recorded_at TIMESTAMP WITH TIME ZONE,
  data VARCHAR
);

-- create_wcdc_leases
CREATE TABLE "hightouch_planner"."wcdc_leases" (
  sync_id VARCHAR COLLATE "binary" PRIMARY KEY,
  generation BIGINT NOT NULL,
  run_id VARCHAR,
  owner VARCHAR,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL
);

-- create_sync_changelog
CREATE TABLE "hightouch_audit"."sync_changelog" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  op_type VARCHAR,
  row_id VARCHAR,
  status VARCHAR,
  failure_reason VARCHAR,
  fields JSON
);

-- create_sync_snapshot
CREATE TABLE "hightouch_audit"."sync_snapshot" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  op_type VARCHAR,
  row_id VARCHAR,
  status VARCHAR,
  failure_reason VARCHAR,
  fields JSON
);

-- create_sync_runs
CREATE TABLE "hightouch_audit"."sync_runs" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  primary_key VARCHAR,
  destination VARCHAR,
  model_name VARCHAR,
  model_id VARCHAR,
  status VARCHAR,
  error VARCHAR,
  started_at TIMESTAMP WITH TIME ZONE,
  finished_at TIMESTAMP WITH TIME ZONE,
  num_planned_add BIGINT,
  num_planned_change BIGINT,
  num_planned_remove BIGINT,
  num_attempted_add BIGINT,
  num_attempted_change BIGINT,
  num_attempted_remove BIGINT,
  num_succeeded_add BIGINT,
  num_succeeded_change BIGINT,
  num_succeeded_remove BIGINT,
  num_failed_add BIGINT,
  num_failed_change BIGINT,
  num_failed_remove BIGINT
);

-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    "token" AS v_2
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (CAST(v_1 AS VARCHAR)) COLLATE "binary" AS row_id, hash(hash(v_1, lower(CAST(v_2 AS VARCHAR)))) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      ELSE 'added'
    END AS op
  FROM wcdc_current m
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(hash(row_id) >> 50 AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2
FROM wcdc_joined;

-- first_rejections
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_rejections" (
  row_id VARCHAR,
  op VARCHAR,
  chunk INTEGER,
  outcome VARCHAR,
  reason VARCHAR,
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMP WITH TIME ZONE,
  last_failed_at TIMESTAMP WITH TIME ZONE
);

-- first_changelog
INSERT INTO "hightouch_audit"."sync_changelog" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'people', '00000000000000000000000001', op_type, row_id, status, failure_reason, fields
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'token', p_2) ELSE json_object('id', v_1, 'token', v_2) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS UUID) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- first_snapshot_1
DELETE FROM "hightouch_audit"."sync_snapshot"
WHERE sync_id = 'people' COLLATE "binary"
AND NOT EXISTS (
  SELECT 1 FROM (
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'token', p_2) ELSE json_object('id', v_1, 'token', v_2) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS UUID) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a
  WHERE a.row_id = "hightouch_audit"."sync_snapshot".row_id
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = "hightouch_audit"."sync_snapshot".op_type
    AND a.status = "hightouch_audit"."sync_snapshot".status
    AND a.failure_reason IS NOT DISTINCT FROM "hightouch_audit"."sync_snapshot".failure_reason
    AND (CAST(a.fields AS VARCHAR) = CAST("hightouch_audit"."sync_snapshot".fields AS VARCHAR))
);

-- first_snapshot_2
INSERT INTO "hightouch_audit"."sync_snapshot" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'people', '00000000000000000000000001', op_type, row_id, status, failure_reason, fields
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'token', p_2) ELSE json_object('id', v_1, 'token', v_2) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS UUID) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_snapshot" t WHERE t.sync_id = 'people' COLLATE "binary" AND t.row_id = a.row_id);

-- plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan" AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    "token" AS v_2
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (CAST(v_1 AS VARCHAR)) COLLATE "binary" AS row_id, hash(hash(v_1, lower(CAST(v_2 AS VARCHAR)))) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      ELSE 'added'
    END AS op
  FROM wcdc_current m
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(hash(row_id) >> 50 AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2
FROM wcdc_joined;

-- duplicates
SELECT count(*) - count(DISTINCT v_1) AS repeated
FROM "hightouch_planner"."people_00000000000000000000000002_plan"
WHERE op NOT IN ('removed', 'gone', 'null_key');

-- stage_duplicates
ALTER TABLE "hightouch_planner"."people_00000000000000000000000002_plan" RENAME TO "people_00000000000000000000000002_staged";

-- resolve_duplicates
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan" AS
WITH wcdc_ranked AS (
  SELECT x.*,
    count(*) OVER (PARTITION BY row_id) AS wcdc_copies,
    row_number() OVER (PARTITION BY row_id ORDER BY CAST(v_1 AS VARCHAR) NULLS FIRST, lower(CAST(v_2 AS VARCHAR)) NULLS FIRST) AS wcdc_place
  FROM "hightouch_planner"."people_00000000000000000000000002_staged" x
  WHERE row_id IS NOT NULL
)
SELECT
  row_id,
  CASE WHEN wcdc_copies > 1 THEN 'kept' ELSE op END AS op,
  CASE WHEN wcdc_copies > 1 THEN wcdc_copies END AS copies,
  bucket,
  hash,
  v_1,
  v_2
FROM wcdc_ranked
WHERE wcdc_place = 1;

-- drop_staged
DROP TABLE "hightouch_planner"."people_00000000000000000000000002_staged";

-- summary
SELECT
  op,
  coalesce(was, 'absent') AS was,
  coalesce(pending, FALSE) AS pending,
  coalesce(copies > 1, FALSE) AS duplicate,
  base_hash IS NOT NULL AS in_base,
  CASE WHEN op IN ('added', 'changed', 'removed') THEN bucket END AS bucket,
  count(*) AS row_count,
  bit_xor(hash) AS checksum
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS UUID) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000002_plan" wcdc_lean) p
GROUP BY 1, 2, 3, 4, 5, 6;

-- create_rejections
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_rejections" (
  row_id VARCHAR,
  op VARCHAR,
  chunk INTEGER,
  outcome VARCHAR,
  reason VARCHAR,
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMP WITH TIME ZONE,
  last_failed_at TIMESTAMP WITH TIME ZONE
);

-- read_added
SELECT
  row_id,
  bucket,
  v_1 AS c_1,
  CAST(v_2 AS VARCHAR) AS c_2
FROM "hightouch_planner"."people_00000000000000000000000002_plan"
WHERE op = 'added';

-- changelog
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'token', p_2) ELSE json_object('id', v_1, 'token', v_2) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS UUID) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000002_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- snapshot_1
DELETE FROM "hightouch_audit"."sync_snapshot"
WHERE sync_id = 'people' COLLATE "binary"
AND NOT EXISTS (
  SELECT 1 FROM (
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'token', p_2) ELSE json_object('id', v_1, 'token', v_2) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS UUID) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000002_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a
  WHERE a.row_id = "hightouch_audit"."sync_snapshot".row_id
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = "hightouch_audit"."sync_snapshot".op_type
    AND a.status = "hightouch_audit"."sync_snapshot".status
    AND a.failure_reason IS NOT DISTINCT FROM "hightouch_audit"."sync_snapshot".failure_reason
    AND (CAST(a.fields AS VARCHAR) = CAST("hightouch_audit"."sync_snapshot".fields AS VARCHAR))
);

-- snapshot_2
INSERT INTO "hightouch_audit"."sync_snapshot" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'token', p_2) ELSE json_object('id', v_1, 'token', v_2) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS UUID) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000002_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_snapshot" t WHERE t.sync_id = 'people' COLLATE "binary" AND t.row_id = a.row_id);
