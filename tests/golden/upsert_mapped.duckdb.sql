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
select id, lower(email) as email, ltv from sales.people where active
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    ("email") COLLATE "binary" AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (CAST(v_1 AS VARCHAR)) COLLATE "binary" AS row_id, hash(hash(v_1, v_2, v_3)) AS hash, TRUE AS in_model
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
  CAST(hash(row_id) >> 50 AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  v_3
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'email', p_2, 'ltv', p_3) ELSE json_object('id', v_1, 'email', v_2, 'ltv', v_3) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'email', p_2, 'ltv', p_3) ELSE json_object('id', v_1, 'email', v_2, 'ltv', v_3) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'email', p_2, 'ltv', p_3) ELSE json_object('id', v_1, 'email', v_2, 'ltv', v_3) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_snapshot" t WHERE t.sync_id = 'people' COLLATE "binary" AND t.row_id = a.row_id);

-- checksum
WITH wcdc_model AS (
select id, lower(email) as email, ltv from sales.people where active
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    ("email") COLLATE "binary" AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
)
SELECT
  count(*) AS all_rows,
  count(CASE WHEN v_1 IS NOT NULL THEN 1 END) AS keyed_rows,
  bit_xor(CASE WHEN v_1 IS NOT NULL THEN hash(hash(v_1, v_2, v_3)) END) AS checksum
FROM wcdc_stored;

-- touched
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_touched" AS
WITH wcdc_model AS (
select id, lower(email) as email, ltv from sales.people where active
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    ("email") COLLATE "binary" AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
),
wcdc_differing AS (
  SELECT
    coalesce(m.v_1, b.v_1) AS v_1,
    m.hash,
    b.hash AS base_hash
  FROM (SELECT v_1, hash(hash(v_1, v_2, v_3)) AS hash FROM wcdc_stored WHERE v_1 IS NOT NULL) m
  FULL JOIN (
    SELECT v_1, hash FROM "hightouch_planner"."people_00000000000000000000000001_plan" WHERE op NOT IN ('removed', 'null_key')
  ) b ON m.v_1 = b.v_1
  WHERE (m.hash IS DISTINCT FROM b.hash)
)
SELECT
  (CAST(v_1 AS VARCHAR)) COLLATE "binary" AS row_id,
  v_1 AS k_1,
  hash,
  base_hash
FROM wcdc_differing;

-- differences
SELECT
  count(*) AS touched,
  count(CASE WHEN hash IS NULL THEN 1 END) AS missing,
  count(DISTINCT CASE WHEN base_hash IS NULL THEN row_id END) AS new_keys,
  count(*)
 AS news,
  bit_xor(hash) AS model_checksum,
  bit_xor(base_hash) AS base_checksum
FROM "hightouch_planner"."people_00000000000000000000000002_touched";

-- counts
WITH wcdc_model AS (
select id, lower(email) as email, ltv from sales.people where active
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    ("email") COLLATE "binary" AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
)
SELECT
  count(*) AS all_rows,
  count(CASE WHEN v_1 IS NOT NULL THEN 1 END) AS keyed_rows,
  CAST(NULL AS UBIGINT) AS checksum
FROM wcdc_stored;

-- keys
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_keys" AS
WITH 
wcdc_due AS (
  SELECT row_id, v_1, CASE WHEN op <> 'removed' THEN hash END AS base_hash
  FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

  ) o
  WHERE outcome NOT IN ('none', 'succeeded') OR copies > 1
)
SELECT row_id, k_1, base_hash
FROM "hightouch_planner"."people_00000000000000000000000002_touched"
GROUP BY row_id, k_1, base_hash
UNION ALL
SELECT row_id, v_1, base_hash
FROM wcdc_due d
WHERE NOT EXISTS (SELECT 1 FROM "hightouch_planner"."people_00000000000000000000000002_touched" t WHERE t.row_id = d.row_id);

-- plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan" AS
WITH wcdc_model AS (
select id, lower(email) as email, ltv from sales.people where active
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    ("email") COLLATE "binary" AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
),
wcdc_found AS (
  SELECT x.*, k.row_id
  FROM wcdc_stored x
  JOIN "hightouch_planner"."people_00000000000000000000000002_keys" k ON x.v_1 = k.k_1
),
wcdc_current AS (
  SELECT x.*, hash(hash(v_1, v_2, v_3)) AS hash, TRUE AS in_model
  FROM wcdc_found x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR takes_new THEN '2f438016913f04fc' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR takes_new THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN TRUE ELSE coalesce(confirmed, FALSE) END AS confirmed,
  op = 'removed' AS gone,
  CASE WHEN outcome = 'unknown' THEN coalesce(key_run, '00000000000000000000000001') WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':2f438016913f04fc' WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
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
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.row_id IN (SELECT row_id FROM "hightouch_planner"."people_00000000000000000000000002_keys")

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
      WHEN m.in_model AND (s.version IS NULL OR s.version <> '2f438016913f04fc') THEN 'changed'
      WHEN m.in_model AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND ((m.v_2 IS DISTINCT FROM s.p_2) OR (m.v_3 IS DISTINCT FROM s.p_3))
      ) THEN 'changed'
      WHEN m.in_model THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
      ELSE 'gone'
    END AS op
  FROM "hightouch_planner"."people_00000000000000000000000002_keys" k
  LEFT JOIN wcdc_current m ON m.row_id = k.row_id
  LEFT JOIN wcdc_prior s ON s.row_id = k.row_id
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
  was,
  pending,
  base_hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':2f438016913f04fc' THEN try_run END AS key_run,
  try_run,
  try_of,
  tries,
  failed_since,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_1 END AS p_1,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_2 END AS p_2,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_3 END AS p_3
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
    row_number() OVER (PARTITION BY row_id ORDER BY CAST(v_1 AS VARCHAR) NULLS FIRST, CAST(v_2 AS VARCHAR) NULLS FIRST, CASE WHEN contains(CAST(v_3 AS VARCHAR), '.') THEN rtrim(rtrim(CAST(v_3 AS VARCHAR), '0'), '.') ELSE CAST(v_3 AS VARCHAR) END NULLS FIRST) AS wcdc_place
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
  v_2,
  v_3,
  was, pending, base_hash, was_hash, was_version, confirmed, key_run, try_run, try_of, tries, failed_since,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_1 ELSE p_1 END ELSE p_1 END AS p_1,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_2 ELSE p_2 END ELSE p_2 END AS p_2,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_3 ELSE p_3 END ELSE p_3 END AS p_3
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
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
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

-- read_removed
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  p_1 AS c_1,
  p_2 AS c_2,
  p_3 AS c_3
FROM "hightouch_planner"."people_00000000000000000000000002_plan"
WHERE op = 'removed';

-- read_changed
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  v_1 AS c_1,
  v_2 AS c_2,
  v_3 AS c_3
FROM "hightouch_planner"."people_00000000000000000000000002_plan"
WHERE op = 'changed';

-- read_added
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  v_1 AS c_1,
  v_2 AS c_2,
  v_3 AS c_3
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'email', p_2, 'ltv', p_3) ELSE json_object('id', v_1, 'email', v_2, 'ltv', v_3) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- snapshot_1
UPDATE "hightouch_audit"."sync_snapshot"
SET op_type = 'unchanged', status = 'succeeded', failure_reason = NULL, sync_run_id = '00000000000000000000000002'
WHERE sync_id = 'people' COLLATE "binary" AND op_type <> 'unchanged'
AND NOT EXISTS (SELECT 1 FROM "hightouch_planner"."people_00000000000000000000000002_plan" p WHERE p.row_id = "hightouch_audit"."sync_snapshot".row_id);

-- snapshot_2
DELETE FROM "hightouch_audit"."sync_snapshot"
WHERE sync_id = 'people' COLLATE "binary"
AND row_id IN (SELECT p.row_id FROM "hightouch_planner"."people_00000000000000000000000002_plan" p WHERE p.row_id IS NOT NULL)
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'email', p_2, 'ltv', p_3) ELSE json_object('id', v_1, 'email', v_2, 'ltv', v_3) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a
  WHERE a.row_id = "hightouch_audit"."sync_snapshot".row_id
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = "hightouch_audit"."sync_snapshot".op_type
    AND a.status = "hightouch_audit"."sync_snapshot".status
    AND a.failure_reason IS NOT DISTINCT FROM "hightouch_audit"."sync_snapshot".failure_reason
    AND (a.op_type = 'unchanged' OR CAST(a.fields AS VARCHAR) = CAST("hightouch_audit"."sync_snapshot".fields AS VARCHAR))
);

-- snapshot_3
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('id', p_1, 'email', p_2, 'ltv', p_3) ELSE json_object('id', v_1, 'email', v_2, 'ltv', v_3) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_snapshot" t WHERE t.sync_id = 'people' COLLATE "binary" AND t.row_id = a.row_id);
