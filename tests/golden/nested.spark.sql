-- first_plan
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000001_plan`
USING DELTA AS
WITH wcdc_model AS (
select id as `id`, stops as `stops`, marks as `marks`, extra as `extra` from sales.people
),
wcdc_stored AS (
  SELECT
    `id` AS v_1,
    to_json(`extra`, map('timeZone', 'UTC')) AS v_2,
    concat('{', array_join(array_sort(transform(map_entries(`marks`), e1 -> concat(nullif(regexp_replace(to_json(array(e1.key)), '^.|.$', ''), 'null'), ':', coalesce(CAST(e1.value AS STRING), 'null')))), ','), '}') AS v_3,
    concat('[', array_join(transform(`stops`, e1 -> coalesce(CASE WHEN e1 IS NOT NULL THEN concat('{', '"a":', coalesce(CAST(e1.`a` AS STRING), 'null'), ',"b":', coalesce(nullif(regexp_replace(to_json(array(e1.`b`)), '^.|.$', ''), 'null'), 'null'), '}') END, 'null')), ','), ']') AS v_4
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS STRING) AS row_id, xxhash64(concat(concat(coalesce(CAST(v_1 AS STRING), ''), ','), coalesce(concat(CAST(octet_length(v_2) AS STRING), ':', v_2), ','), coalesce(concat(CAST(octet_length(v_3) AS STRING), ':', v_3), ','), coalesce(concat(CAST(octet_length(v_4) AS STRING), ':', v_4), ','))) AS hash, TRUE AS in_model
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
  CAST(xxhash64(row_id) & 16383 AS INT) AS bucket,
  hash,
  v_1,
  v_2,
  v_3,
  v_4
FROM wcdc_joined;

-- copy_model
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_model`
USING DELTA
TBLPROPERTIES ('delta.columnMapping.mode' = 'name') AS
SELECT `id` AS v_1, to_json(`extra`, map('timeZone', 'UTC')) AS v_2, concat('{', array_join(array_sort(transform(map_entries(`marks`), e1 -> concat(nullif(regexp_replace(to_json(array(e1.key)), '^.|.$', ''), 'null'), ':', coalesce(CAST(e1.value AS STRING), 'null')))), ','), '}') AS v_3, concat('[', array_join(transform(`stops`, e1 -> coalesce(CASE WHEN e1 IS NOT NULL THEN concat('{', '"a":', coalesce(CAST(e1.`a` AS STRING), 'null'), ',"b":', coalesce(nullif(regexp_replace(to_json(array(e1.`b`)), '^.|.$', ''), 'null'), 'null'), '}') END, 'null')), ','), ']') AS v_4 FROM (
select id as `id`, stops as `stops`, marks as `marks`, extra as `extra` from sales.people
) wcdc_model;

-- plan
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_plan`
USING DELTA AS
WITH wcdc_model AS (
SELECT * FROM `hightouch_planner`.`people_00000000000000000000000002_model`
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2,
    v_3 AS v_3,
    v_4 AS v_4
  FROM wcdc_model
),
wcdc_found AS (
  SELECT x.*, k.row_id
  FROM wcdc_stored x
  JOIN `hightouch_planner`.`people_00000000000000000000000002_keys` k ON x.v_1 = k.k_1
),
wcdc_current AS (
  SELECT x.*, xxhash64(concat(concat(coalesce(CAST(v_1 AS STRING), ''), ','), coalesce(concat(CAST(octet_length(v_2) AS STRING), ':', v_2), ','), coalesce(concat(CAST(octet_length(v_3) AS STRING), ':', v_3), ','), coalesce(concat(CAST(octet_length(v_4) AS STRING), ':', v_4), ','))) AS hash, TRUE AS in_model
  FROM wcdc_found x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR takes_new THEN 'bca9d37c40e8d277' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR takes_new THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN TRUE ELSE coalesce(confirmed, FALSE) END AS confirmed,
  op = 'removed' AS gone,
  CASE WHEN outcome = 'unknown' THEN coalesce(key_run, '00000000000000000000000001') WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS STRING), '') || ':bca9d37c40e8d277' WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_attempts, coalesce(tries, 0) + 1)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN tries END AS tries,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_first_failed_at, failed_since)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN failed_since END AS failed_since,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_1 ELSE p_1 END AS p_1,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_2 ELSE p_2 END AS p_2,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_3 ELSE p_3 END AS p_3,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_4 ELSE p_4 END AS p_4
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS STRING) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS STRING) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS STRING) AS key_run, CAST(NULL AS STRING) AS try_run, CAST(NULL AS STRING) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS STRING) AS p_2, CAST(NULL AS STRING) AS p_3, CAST(NULL AS STRING) AS p_4 FROM `hightouch_planner`.`people_00000000000000000000000001_plan` wcdc_lean) p
LEFT JOIN (SELECT * FROM `hightouch_planner`.`people_00000000000000000000000001_rejections` WHERE chunk < 3) r ON r.row_id = p.row_id
WHERE p.row_id IN (SELECT row_id FROM `hightouch_planner`.`people_00000000000000000000000002_keys`)

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
    s.p_4,
    k.k_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
    m.v_4 AS v_4,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      WHEN m.in_model AND (s.state IS NULL OR s.state IN ('absent', 'unconfirmed')) THEN 'added'
      WHEN m.in_model AND s.state = 'stale' THEN 'changed'
      WHEN m.in_model AND (s.version IS NULL OR s.version <> 'bca9d37c40e8d277') THEN 'changed'
      WHEN m.in_model AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND ((m.v_2 IS DISTINCT FROM s.p_2) OR (m.v_3 IS DISTINCT FROM s.p_3) OR (m.v_4 IS DISTINCT FROM s.p_4))
      ) THEN 'changed'
      WHEN m.in_model THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
      ELSE 'gone'
    END AS op
  FROM `hightouch_planner`.`people_00000000000000000000000002_keys` k
  LEFT JOIN wcdc_current m ON m.row_id = k.row_id
  LEFT JOIN wcdc_prior s ON s.row_id = k.row_id
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(xxhash64(row_id) & 16383 AS INT) AS bucket,
  hash,
  v_1,
  v_2,
  v_3,
  v_4,
  was,
  pending,
  base_hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS STRING), '') || ':bca9d37c40e8d277' THEN try_run END AS key_run,
  try_run,
  try_of,
  tries,
  failed_since,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_1 END AS p_1,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_2 END AS p_2,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_3 END AS p_3,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_4 END AS p_4
FROM wcdc_joined;

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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN concat('{', '"id":', coalesce(CAST(p_1 AS STRING), 'null'), ',"extra":', coalesce(p_2, 'null'), ',"marks":', coalesce(p_3, 'null'), ',"stops":', coalesce(p_4, 'null'), '}') ELSE concat('{', '"id":', coalesce(CAST(v_1 AS STRING), 'null'), ',"extra":', coalesce(v_2, 'null'), ',"marks":', coalesce(v_3, 'null'), ',"stops":', coalesce(v_4, 'null'), '}') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS STRING) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS STRING) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS STRING) AS key_run, CAST(NULL AS STRING) AS try_run, CAST(NULL AS STRING) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS STRING) AS p_2, CAST(NULL AS STRING) AS p_3, CAST(NULL AS STRING) AS p_4 FROM `hightouch_planner`.`people_00000000000000000000000001_plan` wcdc_lean) p
LEFT JOIN (SELECT * FROM `hightouch_planner`.`people_00000000000000000000000001_rejections` WHERE chunk < 3) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
