-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
select id as "id", stops as "stops", marks as "marks", extra as "extra" from sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    "extra" AS v_2,
    to_jsonb("marks") AS v_3,
    to_jsonb("stops") AS v_4
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (((v_1)::text) COLLATE "C") COLLATE "C" AS row_id, hash_record_extended(ROW(v_1, (v_1 >> 32)::integer, (CASE WHEN strpos((v_2)::text, '\u0000') > 0 THEN to_jsonb((v_2)::text) ELSE (v_2)::jsonb END)::text COLLATE "C", (v_3)::text COLLATE "C", (v_4)::text COLLATE "C"), (v_1)::bigint) AS hash, TRUE AS in_model
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
  (hashtextextended(row_id, 0) & 16383)::integer AS bucket,
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS TEXT) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN (jsonb_build_object('id'::text, p_1, 'extra'::text, CASE WHEN strpos((p_2)::text, '\u0000') > 0 THEN to_jsonb((p_2)::text) ELSE (p_2)::jsonb END, 'marks'::text, p_3, 'stops'::text, p_4)) ELSE (jsonb_build_object('id'::text, v_1, 'extra'::text, CASE WHEN strpos((v_2)::text, '\u0000') > 0 THEN to_jsonb((v_2)::text) ELSE (v_2)::jsonb END, 'marks'::text, v_3, 'stops'::text, v_4)) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS TEXT) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS TEXT) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS TEXT) AS key_run, CAST(NULL AS TEXT) AS try_run, CAST(NULL AS TEXT) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS JSON) AS p_2, CAST(NULL AS jsonb) AS p_3, CAST(NULL AS jsonb) AS p_4 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
