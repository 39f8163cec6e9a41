-- first_plan
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000001_plan`
DEFAULT COLLATE ''
CLUSTER BY op, bucket
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 36500 DAY)) AS
WITH wcdc_model AS (
select id as `it's`, email as `select`, ltv as `CamelCase`, ltv as `naïve 名`, ltv as `per%cent %s`, ltv as `:name`, ltv as `-- dashes` from sales.people
),
wcdc_stored AS (
  SELECT
    `it's` AS v_1,
    CAST(CAST(`select` AS BYTES) AS STRING) AS v_2,
    `-- dashes` AS v_3,
    `:name` AS v_4,
    `CamelCase` AS v_5,
    `naïve 名` AS v_6,
    `per%cent %s` AS v_7
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, ('[' || IF(REGEXP_CONTAINS(CAST(v_1 AS STRING), '[\u2028\u2029]'), REPLACE(REPLACE(REPLACE(REPLACE(TO_JSON_STRING(CAST(v_1 AS STRING)), r'\\', '\x01'), r'\u2028', '\u2028'), r'\u2029', '\u2029'), '\x01', r'\\'), IF(CAST(v_1 AS STRING) IS NULL, NULL, TO_JSON_STRING(CAST(v_1 AS STRING)))) || ',' || IF(REGEXP_CONTAINS(v_2, '[\u2028\u2029]'), REPLACE(REPLACE(REPLACE(REPLACE(TO_JSON_STRING(v_2), r'\\', '\x01'), r'\u2028', '\u2028'), r'\u2029', '\u2029'), '\x01', r'\\'), IF(v_2 IS NULL, NULL, TO_JSON_STRING(v_2))) || ']') AS row_id, FARM_FINGERPRINT(CONCAT(COALESCE(CONCAT(CAST(v_1 AS STRING), ','), ','), COALESCE(CONCAT(CAST(LENGTH(v_2) AS STRING), ':', v_2), ','), COALESCE(CONCAT(CAST(v_3 AS STRING), ','), ','), COALESCE(CONCAT(CAST(v_4 AS STRING), ','), ','), COALESCE(CONCAT(CAST(v_5 AS STRING), ','), ','), COALESCE(CONCAT(CAST(v_6 AS STRING), ','), ','), COALESCE(CONCAT(CAST(v_7 AS STRING), ','), ','))) AS `hash`, TRUE AS in_model
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
  v_3,
  v_4,
  v_5,
  v_6,
  v_7
FROM wcdc_joined;

-- copy_model
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_model`
DEFAULT COLLATE ''
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)) AS
SELECT `it's` AS v_1, CAST(CAST(`select` AS BYTES) AS STRING) AS v_2, `-- dashes` AS v_3, `:name` AS v_4, `CamelCase` AS v_5, `naïve 名` AS v_6, `per%cent %s` AS v_7 FROM (
select id as `it's`, email as `select`, ltv as `CamelCase`, ltv as `naïve 名`, ltv as `per%cent %s`, ltv as `:name`, ltv as `-- dashes` from sales.people
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN PARSE_JSON(CONCAT('{', '"it\'s":', COALESCE(CAST(p_1 AS STRING), 'null'), ',"select":', COALESCE(IF(p_2 IS NULL, NULL, TO_JSON_STRING(p_2)), 'null'), ',"-- dashes":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(p_3 AS STRING), '[-.]', '')) <= 15, CAST(p_3 AS STRING), CONCAT('"', CAST(p_3 AS STRING), '"')), 'null'), ',":name":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(p_4 AS STRING), '[-.]', '')) <= 15, CAST(p_4 AS STRING), CONCAT('"', CAST(p_4 AS STRING), '"')), 'null'), ',"CamelCase":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(p_5 AS STRING), '[-.]', '')) <= 15, CAST(p_5 AS STRING), CONCAT('"', CAST(p_5 AS STRING), '"')), 'null'), ',"naïve 名":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(p_6 AS STRING), '[-.]', '')) <= 15, CAST(p_6 AS STRING), CONCAT('"', CAST(p_6 AS STRING), '"')), 'null'), ',"per%cent %s":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(p_7 AS STRING), '[-.]', '')) <= 15, CAST(p_7 AS STRING), CONCAT('"', CAST(p_7 AS STRING), '"')), 'null'), '}'), wide_number_mode => 'round') ELSE PARSE_JSON(CONCAT('{', '"it\'s":', COALESCE(CAST(v_1 AS STRING), 'null'), ',"select":', COALESCE(IF(v_2 IS NULL, NULL, TO_JSON_STRING(v_2)), 'null'), ',"-- dashes":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(v_3 AS STRING), '[-.]', '')) <= 15, CAST(v_3 AS STRING), CONCAT('"', CAST(v_3 AS STRING), '"')), 'null'), ',":name":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(v_4 AS STRING), '[-.]', '')) <= 15, CAST(v_4 AS STRING), CONCAT('"', CAST(v_4 AS STRING), '"')), 'null'), ',"CamelCase":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(v_5 AS STRING), '[-.]', '')) <= 15, CAST(v_5 AS STRING), CONCAT('"', CAST(v_5 AS STRING), '"')), 'null'), ',"naïve 名":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(v_6 AS STRING), '[-.]', '')) <= 15, CAST(v_6 AS STRING), CONCAT('"', CAST(v_6 AS STRING), '"')), 'null'), ',"per%cent %s":', COALESCE(IF(LENGTH(REGEXP_REPLACE(CAST(v_7 AS STRING), '[-.]', '')) <= 15, CAST(v_7 AS STRING), CONCAT('"', CAST(v_7 AS STRING), '"')), 'null'), '}'), wide_number_mode => 'round') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS STRING) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS INT64) AS base_hash, CAST(NULL AS INT64) AS was_hash, CAST(NULL AS STRING) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS STRING) AS key_run, CAST(NULL AS STRING) AS try_run, CAST(NULL AS STRING) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP) AS failed_since, CAST(NULL AS INT64) AS p_1, CAST(NULL AS STRING) AS p_2, CAST(NULL AS NUMERIC) AS p_3, CAST(NULL AS NUMERIC) AS p_4, CAST(NULL AS NUMERIC) AS p_5, CAST(NULL AS NUMERIC) AS p_6, CAST(NULL AS NUMERIC) AS p_7 FROM `hightouch_planner`.`people_00000000000000000000000001_plan` wcdc_lean) p
LEFT JOIN (SELECT * FROM `hightouch_planner`.`people_00000000000000000000000001_rejections` WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
