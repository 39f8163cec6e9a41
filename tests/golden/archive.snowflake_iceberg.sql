-- setup_1
CREATE SCHEMA IF NOT EXISTS "HIGHTOUCH_AUDIT";

-- setup_2
CREATE SCHEMA IF NOT EXISTS "HIGHTOUCH_PLANNER";

-- create_sync_changelog
CREATE ICEBERG TABLE "HIGHTOUCH_AUDIT"."SYNC_CHANGELOG" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  op_type VARCHAR,
  row_id VARCHAR,
  status VARCHAR,
  failure_reason VARCHAR,
  fields VARCHAR
)
CATALOG = 'SNOWFLAKE';

-- create_sync_snapshot
CREATE ICEBERG TABLE "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  op_type VARCHAR,
  row_id VARCHAR,
  status VARCHAR,
  failure_reason VARCHAR,
  fields VARCHAR
)
CATALOG = 'SNOWFLAKE';

-- create_sync_runs
CREATE ICEBERG TABLE "HIGHTOUCH_AUDIT"."SYNC_RUNS" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  primary_key VARCHAR,
  destination VARCHAR,
  model_name VARCHAR,
  model_id VARCHAR,
  status VARCHAR,
  error VARCHAR,
  started_at TIMESTAMP_LTZ(6),
  finished_at TIMESTAMP_LTZ(6),
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
)
CATALOG = 'SNOWFLAKE';

-- first_plan
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2 FROM (
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "ID" AS v_1,
    CAST(COLLATE("TOKEN", '') AS VARCHAR) AS v_2
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_2) AS VARCHAR) || ':' || v_2, ','))) - 9223372036854775808) AS hash, TRUE AS in_model
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
  CAST(MOD(MD5_NUMBER_LOWER64(row_id), 16384) AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2
FROM wcdc_joined
) wcdc_rows;

-- first_rejections
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" (
  row_id VARCHAR,
  op VARCHAR,
  chunk INTEGER,
  outcome VARCHAR,
  reason VARCHAR,
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMP_LTZ(6),
  last_failed_at TIMESTAMP_LTZ(6)
)
CATALOG = 'SNOWFLAKE';

-- first_changelog
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_CHANGELOG" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'TOKEN', p_2))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'TOKEN', v_2))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- first_snapshot_1
DELETE FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT"
WHERE sync_id = 'people'
AND row_id NOT IN (
  SELECT t.row_id
  FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t
  JOIN (
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'TOKEN', p_2))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'TOKEN', v_2))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON a.row_id = t.row_id
  WHERE t.sync_id = 'people'
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND a.failure_reason IS NOT DISTINCT FROM t.failure_reason
    AND (a.fields = t.fields)
);

-- first_snapshot_2
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'TOKEN', p_2))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'TOKEN', v_2))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t WHERE t.sync_id = 'people' AND t.row_id = a.row_id);

-- plan
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2 FROM (
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "ID" AS v_1,
    CAST(COLLATE("TOKEN", '') AS VARCHAR) AS v_2
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_2) AS VARCHAR) || ':' || v_2, ','))) - 9223372036854775808) AS hash, TRUE AS in_model
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
  CAST(MOD(MD5_NUMBER_LOWER64(row_id), 16384) AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2
FROM wcdc_joined
) wcdc_rows;

-- duplicates
SELECT count(*) - count(DISTINCT v_1) AS repeated
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
WHERE op NOT IN ('removed', 'gone', 'null_key');

-- stage_duplicates
ALTER TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" RENAME TO "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_STAGED";

-- resolve_duplicates
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2 FROM (
WITH wcdc_ranked AS (
  SELECT x.*,
    count(*) OVER (PARTITION BY row_id) AS wcdc_copies,
    row_number() OVER (PARTITION BY row_id ORDER BY CAST(v_1 AS VARCHAR) NULLS FIRST, v_2 NULLS FIRST) AS wcdc_place
  FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_STAGED" x
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
WHERE wcdc_place = 1
) wcdc_rows;

-- drop_staged
DROP TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_STAGED";

-- summary
SELECT
  op,
  coalesce(was, 'absent') AS was,
  coalesce(pending, FALSE) AS pending,
  coalesce(copies > 1, FALSE) AS duplicate,
  base_hash IS NOT NULL AS in_base,
  CASE WHEN op IN ('added', 'changed', 'removed') THEN bucket END AS bucket,
  count(*) AS row_count,
  BITXOR_AGG(hash) AS checksum
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" wcdc_lean) p
GROUP BY 1, 2, 3, 4, 5, 6;

-- create_rejections
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" (
  row_id VARCHAR,
  op VARCHAR,
  chunk INTEGER,
  outcome VARCHAR,
  reason VARCHAR,
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMP_LTZ(6),
  last_failed_at TIMESTAMP_LTZ(6)
)
CATALOG = 'SNOWFLAKE';

-- read_added
SELECT
  row_id,
  bucket,
  v_1 AS c_1,
  v_2 AS c_2
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
WHERE op = 'added';

-- changelog
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_CHANGELOG" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'TOKEN', p_2))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'TOKEN', v_2))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- snapshot_1
DELETE FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT"
WHERE sync_id = 'people'
AND row_id NOT IN (
  SELECT t.row_id
  FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t
  JOIN (
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'TOKEN', p_2))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'TOKEN', v_2))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON a.row_id = t.row_id
  WHERE t.sync_id = 'people'
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND a.failure_reason IS NOT DISTINCT FROM t.failure_reason
    AND (a.fields = t.fields)
);

-- snapshot_2
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'TOKEN', p_2))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'TOKEN', v_2))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t WHERE t.sync_id = 'people' AND t.row_id = a.row_id);
