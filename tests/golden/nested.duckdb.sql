-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
select id as "id", stops as "stops", marks as "marks", extra as "extra" from sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    "extra" AS v_2,
    "marks" AS v_3,
    "stops" AS v_4
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (CAST(v_1 AS VARCHAR)) COLLATE "binary" AS row_id, hash(hash(v_1, CASE WHEN regexp_matches(CAST(v_2 AS VARCHAR), '[0-9.]{16}') THEN [row(encode(CAST(v_2 AS VARCHAR)), CAST(NULL AS VARCHAR), encode(CAST(NULL AS VARCHAR)))] ELSE (SELECT list(row(encode(fullkey), CASE WHEN type IN ('DOUBLE', 'UBIGINT', 'BIGINT') THEN 'NUMBER' ELSE type END, encode(CASE WHEN type IN ('DOUBLE', 'UBIGINT', 'BIGINT') THEN regexp_replace(regexp_replace(atom, '\.0$', ''), '^-0$', '0') ELSE atom END)) ORDER BY encode(fullkey), id) FROM json_tree(v_2)) END, row(map_from_entries(list_sort(map_entries(v_3))), encode(replace(CAST(map_from_entries(list_sort(map_entries(v_3))) AS VARCHAR), '-0.0', '0.0'))), row(v_4, encode(replace(CAST(v_4 AS VARCHAR), '-0.0', '0.0'))))) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
    m.v_4 AS v_4,
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
  v_2,
  v_3,
  v_4
FROM wcdc_joined;

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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'extra', p_2, 'marks', p_3, 'stops', p_4) ELSE json_object('id', v_1, 'extra', v_2, 'marks', v_3, 'stops', v_4) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS JSON) AS p_2, CAST(NULL AS MAP(TEXT, INT)) AS p_3, CAST(NULL AS STRUCT(a INT, b TEXT)[]) AS p_4 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
