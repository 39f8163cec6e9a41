-- first_plan
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2, v_3 FROM (
WITH wcdc_model AS (
select id as "id", stops as "stops", marks as "marks" from sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    TO_JSON(TO_VARIANT("marks")) AS v_2,
    TO_JSON(TO_VARIANT("stops")) AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_2) AS VARCHAR) || ':' || v_2, ','), COALESCE(CAST(LENGTH(v_3) AS VARCHAR) || ':' || v_3, ','))) - 9223372036854775808) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
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
  v_2,
  v_3
FROM wcdc_joined
) wcdc_rows;

-- copy_model
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL"
CATALOG = 'SNOWFLAKE' AS
SELECT v_1, v_2, v_3 FROM (
SELECT "id" AS v_1, TO_JSON(TO_VARIANT("marks")) AS v_2, TO_JSON(TO_VARIANT("stops")) AS v_3 FROM (
select id as "id", stops as "stops", marks as "marks" from sales.people
) wcdc_model
) wcdc_rows;

-- plan
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2, v_3, CAST(was AS VARCHAR) AS was, pending, base_hash, was_hash, CAST(was_version AS VARCHAR) AS was_version, confirmed, CAST(key_run AS VARCHAR) AS key_run, CAST(try_run AS VARCHAR) AS try_run, CAST(try_of AS VARCHAR) AS try_of, tries, failed_since, p_1, p_2, p_3 FROM (
WITH wcdc_model AS (
SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL"
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2,
    v_3 AS v_3
  FROM wcdc_model
),
wcdc_found AS (
  SELECT x.*, k.row_id
  FROM wcdc_stored x
  JOIN "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_KEYS" k ON x.v_1 = k.k_1
),
wcdc_current AS (
  SELECT x.*, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_2) AS VARCHAR) || ':' || v_2, ','), COALESCE(CAST(LENGTH(v_3) AS VARCHAR) || ':' || v_3, ','))) - 9223372036854775808) AS hash, TRUE AS in_model
  FROM wcdc_found x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR takes_new THEN '85d9c24c1677eaa0' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR takes_new THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN TRUE ELSE coalesce(confirmed, FALSE) END AS confirmed,
  op = 'removed' AS gone,
  CASE WHEN outcome = 'unknown' THEN coalesce(key_run, '00000000000000000000000001') WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':85d9c24c1677eaa0' WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_attempts, coalesce(tries, 0) + 1)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN tries END AS tries,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_first_failed_at, failed_since)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN failed_since END AS failed_since,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_1 ELSE p_1 END AS p_1,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_2 ELSE p_2 END AS p_2,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_3 ELSE p_3 END AS p_3
FROM (
  SELECT o.*,
    CASE
      WHEN op = 'unchanged' THEN 'present'
      WHEN op = 'kept' THEN coalesce(was, 'absent')
      WHEN op = 'removed' THEN
        CASE WHEN outcome = 'succeeded' THEN NULL
             WHEN outcome = 'unknown' OR was = 'unconfirmed' THEN 'unconfirmed'
             ELSE 'stale' END
      WHEN outcome = 'succeeded' THEN 'present'
      WHEN op = 'changed' THEN 'stale'
      WHEN op = 'added' AND outcome = 'unknown' THEN 'unconfirmed'
      WHEN op = 'added' THEN coalesce(was, 'absent')
    END AS state,
    (op IN ('added', 'changed') AND outcome = 'succeeded')
      OR (op = 'added' AND outcome = 'unknown' AND NOT coalesce(confirmed, FALSE)) AS takes_new
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS VARCHAR) AS p_3 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE chunk < 3) r ON r.row_id = p.row_id
WHERE p.row_id IN (SELECT row_id FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_KEYS")

  ) o
) states
WHERE state IS NOT NULL AND (state <> 'absent' OR tries IS NOT NULL OR outcome = 'failed')
),
wcdc_joined AS (
  SELECT
    k.row_id,
    k.base_hash,
    s.state AS was,
    s.try_run, s.try_of, s.tries, s.failed_since, s.gone AS pending,
    s.version AS was_version,
    s.hash AS was_hash,
    s.confirmed,
    s.p_1,
    s.p_2,
    s.p_3,
    k.k_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      WHEN m.in_model AND (s.state IS NULL OR s.state IN ('absent', 'unconfirmed')) THEN 'added'
      WHEN m.in_model AND s.state = 'stale' THEN 'changed'
      WHEN m.in_model AND (s.version IS NULL OR s.version <> '85d9c24c1677eaa0') THEN 'changed'
      WHEN m.in_model AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND ((m.v_2 IS DISTINCT FROM s.p_2) OR (m.v_3 IS DISTINCT FROM s.p_3))
      ) THEN 'changed'
      WHEN m.in_model THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
      ELSE 'gone'
    END AS op
  FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_KEYS" k
  LEFT JOIN wcdc_current m ON m.row_id = k.row_id
  LEFT JOIN wcdc_prior s ON s.row_id = k.row_id
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(MOD(MD5_NUMBER_LOWER64(row_id), 16384) AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  v_3,
  was,
  pending,
  base_hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':85d9c24c1677eaa0' THEN try_run END AS key_run,
  try_run,
  try_of,
  tries,
  failed_since,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_1 END AS p_1,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_2 END AS p_2,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_3 END AS p_3
FROM wcdc_joined
) wcdc_rows;

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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('id', p_1, 'marks', COALESCE(TRY_PARSE_JSON(p_2), TO_VARIANT(p_2)), 'stops', COALESCE(TRY_PARSE_JSON(p_3), TO_VARIANT(p_3))))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('id', v_1, 'marks', COALESCE(TRY_PARSE_JSON(v_2), TO_VARIANT(v_2)), 'stops', COALESCE(TRY_PARSE_JSON(v_3), TO_VARIANT(v_3))))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS VARCHAR) AS p_3 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE chunk < 3) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
