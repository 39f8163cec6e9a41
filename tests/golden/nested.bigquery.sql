-- first_plan
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000001_plan`
DEFAULT COLLATE ''
CLUSTER BY op, bucket
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 36500 DAY)) AS
WITH wcdc_model AS (
select id as `id`, stops as `stops`, extra as `extra` from sales.people
),
wcdc_stored AS (
  SELECT
    `id` AS v_1,
    IF(`extra` IS NULL, NULL, TO_JSON_STRING(`extra`)) AS v_2,
    IF(`stops` IS NULL, NULL, CONCAT('[', ARRAY_TO_STRING(ARRAY(SELECT COALESCE(IF(e1 IS NULL, NULL, CONCAT('{', '"a":', COALESCE(CAST(e1.`a` AS STRING), 'null'), ',"b":', COALESCE(IF(e1.`b` IS NULL, NULL, TO_JSON_STRING(e1.`b`)), 'null'), '}')), 'null') FROM UNNEST(`stops`) AS e1 WITH OFFSET AS o1 ORDER BY o1), ','), ']')) AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS STRING) AS row_id, FARM_FINGERPRINT(CONCAT(COALESCE(CONCAT(CAST(v_1 AS STRING), ','), ','), COALESCE(CONCAT(CAST(LENGTH(v_2) AS STRING), ':', v_2), ','), COALESCE(CONCAT(CAST(LENGTH(v_3) AS STRING), ':', v_3), ','))) AS `hash`, TRUE AS in_model
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
  (FARM_FINGERPRINT(row_id) & 16383) AS bucket,
  `hash`,
  v_1,
  v_2,
  v_3
FROM wcdc_joined;

-- copy_model
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_model`
DEFAULT COLLATE ''
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)) AS
SELECT `id` AS v_1, IF(`extra` IS NULL, NULL, TO_JSON_STRING(`extra`)) AS v_2, IF(`stops` IS NULL, NULL, CONCAT('[', ARRAY_TO_STRING(ARRAY(SELECT COALESCE(IF(e1 IS NULL, NULL, CONCAT('{', '"a":', COALESCE(CAST(e1.`a` AS STRING), 'null'), ',"b":', COALESCE(IF(e1.`b` IS NULL, NULL, TO_JSON_STRING(e1.`b`)), 'null'), '}')), 'null') FROM UNNEST(`stops`) AS e1 WITH OFFSET AS o1 ORDER BY o1), ','), ']')) AS v_3 FROM (
select id as `id`, stops as `stops`, extra as `extra` from sales.people
) wcdc_model;

-- first_changelog
INSERT INTO `hightouch_audit`.`sync_changelog` (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS STRING) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN PARSE_JSON(CONCAT('{', '"id":', COALESCE(CAST(p_1 AS STRING), 'null'), ',"extra":', COALESCE(p_2, 'null'), ',"stops":', COALESCE(p_3, 'null'), '}'), wide_number_mode => 'round') ELSE PARSE_JSON(CONCAT('{', '"id":', COALESCE(CAST(v_1 AS STRING), 'null'), ',"extra":', COALESCE(v_2, 'null'), ',"stops":', COALESCE(v_3, 'null'), '}'), wide_number_mode => 'round') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS STRING) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS INT64) AS base_hash, CAST(NULL AS INT64) AS was_hash, CAST(NULL AS STRING) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS STRING) AS key_run, CAST(NULL AS STRING) AS try_run, CAST(NULL AS STRING) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP) AS failed_since, CAST(NULL AS INT64) AS p_1, CAST(NULL AS STRING) AS p_2, CAST(NULL AS STRING) AS p_3 FROM `hightouch_planner`.`people_00000000000000000000000001_plan` wcdc_lean) p
LEFT JOIN (SELECT * FROM `hightouch_planner`.`people_00000000000000000000000001_rejections` WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
