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
  sync_id VARCHAR PRIMARY KEY,
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
CREATE TABLE "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    ("region") COLLATE "binary" AS v_1,
    "id" AS v_2,
    ("email") COLLATE "binary" AS v_3,
    "score" AS v_4
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, ('[' || CAST(to_json(CAST(v_1 AS VARCHAR)) AS VARCHAR) || ',' || CAST(to_json(CAST(v_2 AS VARCHAR)) AS VARCHAR) || ']') AS row_id, hash(v_1, v_2, v_3, v_4) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id,
    'absent' AS was,
    CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of,
    CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, FALSE AS pending,
    CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS UBIGINT) AS was_hash, FALSE AS confirmed,
    CAST(NULL AS VARCHAR) AS p_1,
    CAST(NULL AS BIGINT) AS p_2,
    CAST(NULL AS VARCHAR) AS p_3,
    CAST(NULL AS DOUBLE) AS p_4,
    m.v_1,
    m.v_2,
    m.v_3,
    m.v_4,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      ELSE 'added'
    END AS op
  FROM wcdc_current m
),
wcdc_keyed AS (
  SELECT x.*,
    op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':771e4323b4f0be41' AS key_of
  FROM wcdc_joined x
  WHERE op IS NOT NULL
)
SELECT
  row_id,
  op,
  was,
  pending,
  1 AS copies,
  CAST(hash(row_id) >> 50 AS INTEGER) AS bucket,
  hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = key_of THEN try_run ELSE '00000000000000000000000001' END AS key_run,
  key_of,
  try_run,
  try_of,
  tries,
  failed_since,
  v_1,
  v_2,
  v_3,
  v_4,
  CASE WHEN op <> 'unchanged' THEN p_1 END AS p_1,
  CASE WHEN op <> 'unchanged' THEN p_2 END AS p_2,
  CASE WHEN op <> 'unchanged' THEN p_3 END AS p_3,
  CASE WHEN op <> 'unchanged' THEN p_4 END AS p_4
FROM wcdc_keyed;

-- first_rejections
CREATE TABLE "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000001_rejections" (
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

-- plan
CREATE TABLE "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    ("region") COLLATE "binary" AS v_1,
    "id" AS v_2,
    ("email") COLLATE "binary" AS v_3,
    "score" AS v_4
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, ('[' || CAST(to_json(CAST(v_1 AS VARCHAR)) AS VARCHAR) || ',' || CAST(to_json(CAST(v_2 AS VARCHAR)) AS VARCHAR) || ']') AS row_id, hash(v_1, v_2, v_3, v_4) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR takes_new THEN '771e4323b4f0be41' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR takes_new THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN TRUE ELSE confirmed END AS confirmed,
  op = 'removed' AS gone,
  CASE WHEN outcome = 'unknown' THEN key_run WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN key_of WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
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
      WHEN op = 'kept' THEN was
      WHEN op = 'removed' THEN
        CASE WHEN outcome = 'succeeded' THEN NULL
             WHEN outcome = 'unknown' OR was = 'unconfirmed' THEN 'unconfirmed'
             ELSE 'stale' END
      WHEN outcome = 'succeeded' THEN 'present'
      WHEN op = 'changed' THEN 'stale'
      WHEN op = 'added' AND outcome = 'unknown' THEN 'unconfirmed'
      WHEN op = 'added' THEN was
    END AS state,
    (op IN ('added', 'changed') AND outcome = 'succeeded')
      OR (op = 'added' AND outcome = 'unknown' AND NOT confirmed) AS takes_new
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
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000001_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000001_rejections" WHERE chunk < 3) r ON r.row_id = p.row_id

  ) o
) states
WHERE state IS NOT NULL AND (state <> 'absent' OR tries IS NOT NULL OR outcome = 'failed')
),
wcdc_joined AS (
  SELECT
    coalesce(m.row_id, s.row_id) AS row_id,
    coalesce(s.state, 'absent') AS was,
    s.try_run, s.try_of, s.tries, s.failed_since, coalesce(s.gone, FALSE) AS pending,
    s.version AS was_version,
    s.hash AS was_hash,
    coalesce(s.confirmed, FALSE) AS confirmed,
    s.p_1,
    s.p_2,
    s.p_3,
    s.p_4,
    m.v_1,
    m.v_2,
    m.v_3,
    m.v_4,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      WHEN m.in_model AND (s.state IS NULL OR s.state IN ('absent', 'unconfirmed')) THEN 'added'
      WHEN m.in_model AND s.state = 'stale' THEN 'changed'
      WHEN m.in_model AND (s.version IS NULL OR s.version <> '771e4323b4f0be41') THEN 'changed'
      WHEN m.in_model AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND ((m.v_3 IS DISTINCT FROM s.p_3) OR (m.v_4 IS DISTINCT FROM s.p_4))
      ) THEN 'changed'
      WHEN m.in_model THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
    END AS op
  FROM wcdc_current m
  FULL JOIN wcdc_prior s ON m.row_id = s.row_id
),
wcdc_keyed AS (
  SELECT x.*,
    op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':771e4323b4f0be41' AS key_of
  FROM wcdc_joined x
  WHERE op IS NOT NULL
)
SELECT
  row_id,
  op,
  was,
  pending,
  1 AS copies,
  CAST(hash(row_id) >> 50 AS INTEGER) AS bucket,
  hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = key_of THEN try_run ELSE '00000000000000000000000002' END AS key_run,
  key_of,
  try_run,
  try_of,
  tries,
  failed_since,
  v_1,
  v_2,
  v_3,
  v_4,
  CASE WHEN op <> 'unchanged' THEN p_1 END AS p_1,
  CASE WHEN op <> 'unchanged' THEN p_2 END AS p_2,
  CASE WHEN op <> 'unchanged' THEN p_3 END AS p_3,
  CASE WHEN op <> 'unchanged' THEN p_4 END AS p_4
FROM wcdc_keyed;

-- duplicates
SELECT
  (SELECT count(*) FROM (
    SELECT 1 AS one FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" WHERE row_id IS NOT NULL GROUP BY hash(row_id) HAVING count(*) > 1
  ) repeated) AS repeated_keys,
  (SELECT count(*) FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" WHERE row_id IS NULL) AS null_keys,
  (SELECT count(*) FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" WHERE row_id IS NOT NULL) AS keyed_rows;

-- stage_duplicates
ALTER TABLE "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" RENAME TO "it_s_a_sync_5fc7e05c_00000000000000000000000002_staged";

-- resolve_duplicates
CREATE TABLE "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" AS
WITH wcdc_ranked AS (
  SELECT x.*,
    count(*) OVER (PARTITION BY row_id) AS wcdc_copies,
    row_number() OVER (PARTITION BY row_id ORDER BY CAST(v_1 AS VARCHAR) NULLS FIRST, CAST(v_2 AS VARCHAR) NULLS FIRST, CAST(v_3 AS VARCHAR) NULLS FIRST, CASE WHEN abs(v_4) < 1e18 AND v_4 = trunc(v_4) THEN CAST(TRY_CAST(v_4 AS BIGINT) AS VARCHAR) ELSE CAST(v_4 AS VARCHAR) END NULLS FIRST) AS wcdc_place
  FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_staged" x
  WHERE row_id IS NOT NULL
)
SELECT
  row_id,
  op AS op,
  was,
  pending,
  1 AS copies,
  bucket, hash, was_hash, was_version, confirmed, key_run, key_of, try_run, try_of, tries, failed_since,
  v_1,
  v_2,
  v_3,
  v_4,
  p_1 AS p_1,
  p_2 AS p_2,
  p_3 AS p_3,
  p_4 AS p_4
FROM wcdc_ranked
WHERE wcdc_place = 1;

-- drop_staged
DROP TABLE "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_staged";

-- summary
SELECT
  op,
  was,
  pending,
  copies > 1 AS duplicate,
  CASE WHEN op IN ('added', 'changed', 'removed') THEN bucket END AS bucket,
  count(*) AS row_count
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" p
GROUP BY 1, 2, 3, 4, 5;

-- create_rejections
CREATE TABLE "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_rejections" (
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
  key_run,
  tries,
  failed_since,
  p_1 AS c_1,
  p_2 AS c_2,
  p_3 AS c_3,
  p_4 AS c_4
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan"
WHERE op = 'removed' AND bucket BETWEEN 0 AND 16383
ORDER BY bucket, row_id;

-- read_changed
SELECT
  row_id,
  bucket,
  key_run,
  tries,
  failed_since,
  v_1 AS c_1,
  v_2 AS c_2,
  v_3 AS c_3,
  v_4 AS c_4
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan"
WHERE op = 'changed' AND bucket BETWEEN 0 AND 16383
ORDER BY bucket, row_id;

-- read_added
SELECT
  row_id,
  bucket,
  key_run,
  tries,
  failed_since,
  v_1 AS c_1,
  v_2 AS c_2,
  v_3 AS c_3,
  v_4 AS c_4
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan"
WHERE op = 'added' AND bucket BETWEEN 0 AND 16383
ORDER BY bucket, row_id;

-- changelog
INSERT INTO "hightouch_audit"."sync_changelog" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'It''s a sync', '00000000000000000000000002', op_type, row_id, status, failure_reason, fields
FROM (
SELECT
  row_id,
  was,
  outcome,
  copies,
  op,
  CASE
    WHEN copies > 1 THEN CASE WHEN was = 'absent' THEN 'added' ELSE 'changed' END
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND copies = 1) THEN json_object('region', p_1, 'id', p_2, 'email', p_3, 'score', CASE WHEN isfinite(p_4) THEN to_json(p_4) ELSE to_json(CAST(p_4 AS VARCHAR)) END) ELSE json_object('region', v_1, 'id', v_2, 'email', v_3, 'score', CASE WHEN isfinite(v_4) THEN to_json(v_4) ELSE to_json(CAST(v_4 AS VARCHAR)) END) END AS fields
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
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_rejections" WHERE chunk < 3) r ON r.row_id = p.row_id

) o
WHERE op <> 'null_key'
) a
WHERE op_type <> 'unchanged'
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_changelog" t WHERE t.sync_id = 'It''s a sync' AND t.sync_run_id = '00000000000000000000000002');

-- snapshot_delete
DELETE FROM "hightouch_audit"."sync_snapshot"
WHERE sync_id = 'It''s a sync'
AND row_id IN (
  SELECT row_id FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" WHERE op <> 'unchanged' AND row_id IS NOT NULL
  UNION ALL
  SELECT row_id FROM "hightouch_audit"."sync_snapshot" WHERE sync_id = 'It''s a sync' AND op_type <> 'unchanged'
)
AND NOT EXISTS (
  SELECT 1 FROM (
SELECT
  row_id,
  was,
  outcome,
  copies,
  op,
  CASE
    WHEN copies > 1 THEN CASE WHEN was = 'absent' THEN 'added' ELSE 'changed' END
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND copies = 1) THEN json_object('region', p_1, 'id', p_2, 'email', p_3, 'score', CASE WHEN isfinite(p_4) THEN to_json(p_4) ELSE to_json(CAST(p_4 AS VARCHAR)) END) ELSE json_object('region', v_1, 'id', v_2, 'email', v_3, 'score', CASE WHEN isfinite(v_4) THEN to_json(v_4) ELSE to_json(CAST(v_4 AS VARCHAR)) END) END AS fields
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
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_rejections" WHERE chunk < 3) r ON r.row_id = p.row_id

) o
WHERE op <> 'null_key'
  ) a
  WHERE a.row_id = "hightouch_audit"."sync_snapshot".row_id
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = "hightouch_audit"."sync_snapshot".op_type
    AND a.status = "hightouch_audit"."sync_snapshot".status
    AND a.failure_reason IS NOT DISTINCT FROM "hightouch_audit"."sync_snapshot".failure_reason
    AND (a.op_type = 'unchanged' OR CAST(a.fields AS VARCHAR) = CAST("hightouch_audit"."sync_snapshot".fields AS VARCHAR))
);

-- snapshot_insert
INSERT INTO "hightouch_audit"."sync_snapshot" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'It''s a sync', '00000000000000000000000002', op_type, row_id, status, failure_reason, fields
FROM (
SELECT
  row_id,
  was,
  outcome,
  copies,
  op,
  CASE
    WHEN copies > 1 THEN CASE WHEN was = 'absent' THEN 'added' ELSE 'changed' END
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND copies = 1) THEN json_object('region', p_1, 'id', p_2, 'email', p_3, 'score', CASE WHEN isfinite(p_4) THEN to_json(p_4) ELSE to_json(CAST(p_4 AS VARCHAR)) END) ELSE json_object('region', v_1, 'id', v_2, 'email', v_3, 'score', CASE WHEN isfinite(v_4) THEN to_json(v_4) ELSE to_json(CAST(v_4 AS VARCHAR)) END) END AS fields
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
FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."it_s_a_sync_5fc7e05c_00000000000000000000000002_rejections" WHERE chunk < 3) r ON r.row_id = p.row_id

) o
WHERE op <> 'null_key'
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_snapshot" t WHERE t.sync_id = 'It''s a sync' AND t.row_id = a.row_id);
