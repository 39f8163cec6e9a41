-- setup_1
CREATE SCHEMA IF NOT EXISTS "hightouch_audit";

-- setup_2
CREATE SCHEMA IF NOT EXISTS "hightouch_planner";

-- create_sync_changelog
CREATE TABLE "hightouch_audit"."sync_changelog" (
  sync_id VARCHAR(65535),
  sync_run_id VARCHAR(65535),
  op_type VARCHAR(65535),
  row_id VARCHAR(65535),
  status VARCHAR(65535),
  failure_reason VARCHAR(65535),
  fields SUPER
)
DISTKEY (row_id);

-- create_sync_snapshot
CREATE TABLE "hightouch_audit"."sync_snapshot" (
  sync_id VARCHAR(65535),
  sync_run_id VARCHAR(65535),
  op_type VARCHAR(65535),
  row_id VARCHAR(65535),
  status VARCHAR(65535),
  failure_reason VARCHAR(65535),
  fields SUPER
)
DISTKEY (row_id);

-- create_sync_runs
CREATE TABLE "hightouch_audit"."sync_runs" (
  sync_id VARCHAR(65535),
  sync_run_id VARCHAR(65535),
  primary_key VARCHAR(65535),
  destination VARCHAR(65535),
  model_name VARCHAR(65535),
  model_id VARCHAR(65535),
  status VARCHAR(65535),
  error VARCHAR(65535),
  started_at TIMESTAMPTZ,
  finished_at TIMESTAMPTZ,
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
DISTKEY (sync_id);

-- create_requests
CREATE TABLE "hightouch_planner"."wcdc_requests" (
  sync_id VARCHAR(65535),
  sync_run_id VARCHAR(65535),
  call_id VARCHAR(65535),
  piece INTEGER,
  content VARCHAR(65535)
)
DISTKEY (call_id);

-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan"
DISTKEY (row_id)
SORTKEY (op, bucket) AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    CAST("email" AS VARCHAR(65535)) AS v_2
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(65535)) AS row_id, FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(OCTET_LENGTH(v_2) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END) AS hash, TRUE AS in_model
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
  CAST(FARMFINGERPRINT64(row_id) & 16383 AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2
FROM wcdc_joined;

-- first_rejections
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_rejections" (
  row_id VARCHAR(65535),
  op VARCHAR(65535),
  chunk INTEGER,
  outcome VARCHAR(65535),
  reason VARCHAR(65535),
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMPTZ,
  last_failed_at TIMESTAMPTZ
)
DISTKEY (row_id);

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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(2 * OCTET_LENGTH(p_2) - OCTET_LENGTH(REPLACE(REPLACE(p_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(p_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_2, 10894) AS SUPER)), 'null') || '}') END ELSE CASE WHEN COALESCE(2 * OCTET_LENGTH(v_2) - OCTET_LENGTH(REPLACE(REPLACE(v_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(v_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_2, 10894) AS SUPER)), 'null') || '}') END END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(65535)) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(65535)) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR(65535)) AS key_run, CAST(NULL AS VARCHAR(65535)) AS try_run, CAST(NULL AS VARCHAR(65535)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMPTZ) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(65535)) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- first_snapshot_1
DELETE FROM "hightouch_audit"."sync_snapshot"
WHERE (sync_id = 'people' AND SHA2(sync_id, 256) = SHA2('people', 256))
AND SHA2(row_id, 256) NOT IN (
  SELECT SHA2(t.row_id, 256)
  FROM "hightouch_audit"."sync_snapshot" t
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(2 * OCTET_LENGTH(p_2) - OCTET_LENGTH(REPLACE(REPLACE(p_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(p_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_2, 10894) AS SUPER)), 'null') || '}') END ELSE CASE WHEN COALESCE(2 * OCTET_LENGTH(v_2) - OCTET_LENGTH(REPLACE(REPLACE(v_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(v_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_2, 10894) AS SUPER)), 'null') || '}') END END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(65535)) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(65535)) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR(65535)) AS key_run, CAST(NULL AS VARCHAR(65535)) AS try_run, CAST(NULL AS VARCHAR(65535)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMPTZ) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(65535)) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON (a.row_id = t.row_id AND SHA2(a.row_id, 256) = SHA2(t.row_id, 256))
  WHERE (t.sync_id = 'people' AND SHA2(t.sync_id, 256) = SHA2('people', 256))
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND NOT ((a.failure_reason IS NOT NULL AND t.failure_reason IS NOT NULL AND a.failure_reason <> t.failure_reason) OR (a.failure_reason IS NULL AND t.failure_reason IS NOT NULL) OR (a.failure_reason IS NOT NULL AND t.failure_reason IS NULL))
    AND (JSON_SERIALIZE(a.fields) = JSON_SERIALIZE(t.fields))
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(2 * OCTET_LENGTH(p_2) - OCTET_LENGTH(REPLACE(REPLACE(p_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(p_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_2, 10894) AS SUPER)), 'null') || '}') END ELSE CASE WHEN COALESCE(2 * OCTET_LENGTH(v_2) - OCTET_LENGTH(REPLACE(REPLACE(v_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(v_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_2, 10894) AS SUPER)), 'null') || '}') END END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(65535)) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(65535)) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR(65535)) AS key_run, CAST(NULL AS VARCHAR(65535)) AS try_run, CAST(NULL AS VARCHAR(65535)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMPTZ) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(65535)) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_snapshot" t WHERE (t.sync_id = 'people' AND SHA2(t.sync_id, 256) = SHA2('people', 256)) AND (t.row_id = a.row_id AND SHA2(t.row_id, 256) = SHA2(a.row_id, 256)));

-- checksum
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    CAST("email" AS VARCHAR(65535)) AS v_2
  FROM wcdc_model
)
SELECT
  count(*) AS all_rows,
  count(CASE WHEN v_1 IS NOT NULL THEN 1 END) AS keyed_rows,
  sum(CAST(CASE WHEN v_1 IS NOT NULL THEN FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(OCTET_LENGTH(v_2) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END) END AS NUMERIC(38, 0))) AS checksum
FROM wcdc_stored;

-- copy_model
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_model" AS
SELECT "id" AS v_1, CAST("email" AS VARCHAR(65535)) AS v_2 FROM (
SELECT * FROM sales.people
) wcdc_model;

-- touched
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_touched"
DISTKEY (row_id) AS
WITH wcdc_model AS (
SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_model"
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2
  FROM wcdc_model
),
wcdc_differing AS (
  SELECT
    coalesce(m.v_1, b.v_1) AS v_1,
    m.hash,
    b.hash AS base_hash
  FROM (SELECT v_1, FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(OCTET_LENGTH(v_2) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END) AS hash FROM wcdc_stored WHERE v_1 IS NOT NULL) m
  FULL JOIN (
    SELECT v_1, hash FROM "hightouch_planner"."people_00000000000000000000000001_plan" WHERE op NOT IN ('removed', 'null_key')
  ) b ON m.v_1 = b.v_1
  WHERE ((m.hash IS NOT NULL AND b.hash IS NOT NULL AND m.hash <> b.hash) OR (m.hash IS NULL AND b.hash IS NOT NULL) OR (m.hash IS NOT NULL AND b.hash IS NULL))
)
SELECT
  CAST(v_1 AS VARCHAR(65535)) AS row_id,
  v_1 AS k_1,
  hash,
  base_hash
FROM wcdc_differing;

-- differences
SELECT
  count(*) AS touched,
  count(CASE WHEN hash IS NULL THEN 1 END) AS missing,
  count(DISTINCT CASE WHEN base_hash IS NULL THEN SHA2(row_id, 256) END) AS new_keys,
  count(*)
 AS news,
  sum(CAST(hash AS NUMERIC(38, 0))) AS model_checksum,
  sum(CAST(base_hash AS NUMERIC(38, 0))) AS base_checksum
FROM "hightouch_planner"."people_00000000000000000000000002_touched";

-- counts
WITH wcdc_model AS (
SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_model"
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2
  FROM wcdc_model
)
SELECT
  count(*) AS all_rows,
  count(CASE WHEN v_1 IS NOT NULL THEN 1 END) AS keyed_rows,
  CAST(NULL AS BIGINT) AS checksum
FROM wcdc_stored;

-- keys
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_keys"
DISTKEY (row_id) AS
WITH 
wcdc_due AS (
  SELECT row_id, v_1, CASE WHEN op <> 'removed' THEN hash END AS base_hash
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(65535)) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(65535)) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR(65535)) AS key_run, CAST(NULL AS VARCHAR(65535)) AS try_run, CAST(NULL AS VARCHAR(65535)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMPTZ) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(65535)) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))

  ) o
  WHERE outcome NOT IN ('none', 'succeeded') OR copies > 1
)
SELECT row_id, k_1, base_hash
FROM "hightouch_planner"."people_00000000000000000000000002_touched"
GROUP BY row_id, SHA2(row_id, 256), k_1, base_hash
UNION ALL
SELECT row_id, v_1, base_hash
FROM wcdc_due d
WHERE NOT EXISTS (SELECT 1 FROM "hightouch_planner"."people_00000000000000000000000002_touched" t WHERE (t.row_id = d.row_id AND SHA2(t.row_id, 256) = SHA2(d.row_id, 256)));

-- plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan"
DISTKEY (row_id)
SORTKEY (op, bucket) AS
WITH wcdc_model AS (
SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_model"
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2
  FROM wcdc_model
),
wcdc_found AS (
  SELECT x.*, k.row_id
  FROM wcdc_stored x
  JOIN "hightouch_planner"."people_00000000000000000000000002_keys" k ON x.v_1 = k.k_1
),
wcdc_current AS (
  SELECT x.*, FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(OCTET_LENGTH(v_2) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END) AS hash, TRUE AS in_model
  FROM wcdc_found x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR takes_new THEN '4e8ff0d36139d3ce' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR takes_new THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN TRUE ELSE coalesce(confirmed, FALSE) END AS confirmed,
  op = 'removed' AS gone,
  CASE WHEN outcome = 'unknown' THEN coalesce(key_run, '00000000000000000000000001') WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(65535)), '') || ':4e8ff0d36139d3ce' WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_attempts, coalesce(tries, 0) + 1)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN tries END AS tries,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_first_failed_at, failed_since)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN failed_since END AS failed_since,
  CASE WHEN outcome = 'failed' AND r_permanent IS NOT NULL THEN op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(65535)), '') || ':4e8ff0d36139d3ce' END AS refused_of,
  CASE WHEN outcome = 'failed' AND r_permanent IS NOT NULL THEN 1 END AS refusals,
  CASE WHEN outcome = 'failed' AND r_permanent IS NOT NULL THEN r_reason END AS refused_reason,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_1 ELSE p_1 END AS p_1,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_2 ELSE p_2 END AS p_2
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
  r.permanent AS r_permanent,
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(65535)) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(65535)) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR(65535)) AS key_run, CAST(NULL AS VARCHAR(65535)) AS try_run, CAST(NULL AS VARCHAR(65535)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMPTZ) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(65535)) AS p_2 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))
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
    s.refused_of, s.refusals, s.refused_reason,
    s.version AS was_version,
    s.hash AS was_hash,
    s.confirmed,
    s.p_1,
    s.p_2,
    k.k_1 AS v_1,
    m.v_2 AS v_2,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      WHEN m.in_model AND (s.state IS NULL OR s.state IN ('absent', 'unconfirmed')) THEN 'added'
      WHEN m.in_model AND s.state = 'stale' THEN 'changed'
      WHEN m.in_model AND (s.version IS NULL OR s.version <> '4e8ff0d36139d3ce') THEN 'changed'
      WHEN m.in_model AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND (((SHA2(m.v_2, 256) IS NOT NULL AND SHA2(s.p_2, 256) IS NOT NULL AND SHA2(m.v_2, 256) <> SHA2(s.p_2, 256)) OR (SHA2(m.v_2, 256) IS NULL AND SHA2(s.p_2, 256) IS NOT NULL) OR (SHA2(m.v_2, 256) IS NOT NULL AND SHA2(s.p_2, 256) IS NULL)))
      ) THEN 'changed'
      WHEN m.in_model THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
      ELSE 'gone'
    END AS op
  FROM "hightouch_planner"."people_00000000000000000000000002_keys" k
  LEFT JOIN wcdc_current m ON (m.row_id = k.row_id AND SHA2(m.row_id, 256) = SHA2(k.row_id, 256))
  LEFT JOIN wcdc_prior s ON (s.row_id = k.row_id AND SHA2(s.row_id, 256) = SHA2(k.row_id, 256))
)
SELECT
  row_id,
  CASE WHEN op IN ('added', 'changed') AND refused_of = op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(65535)), '') || ':4e8ff0d36139d3ce' AND refusals >= 3 THEN 'quarantined' ELSE op END AS op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(FARMFINGERPRINT64(row_id) & 16383 AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  was,
  pending,
  base_hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(65535)), '') || ':4e8ff0d36139d3ce' THEN try_run END AS key_run,
  try_run,
  try_of,
  tries,
  failed_since,  refused_of AS refused_of,
  refusals,
  refused_reason,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_1 END AS p_1,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_2 END AS p_2
FROM wcdc_joined;

-- duplicates
SELECT count(*) - count(DISTINCT v_1) AS repeated
FROM "hightouch_planner"."people_00000000000000000000000002_plan"
WHERE op NOT IN ('removed', 'gone', 'null_key');

-- stage_duplicates
ALTER TABLE "hightouch_planner"."people_00000000000000000000000002_plan" RENAME TO "people_00000000000000000000000002_staged";

-- resolve_duplicates
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan"
DISTKEY (row_id)
SORTKEY (op, bucket) AS
WITH wcdc_ranked AS (
  SELECT x.*,
    count(*) OVER (PARTITION BY SHA2(row_id, 256)) AS wcdc_copies,
    row_number() OVER (PARTITION BY SHA2(row_id, 256) ORDER BY CAST(v_1 AS VARCHAR(65535)) NULLS FIRST, v_2 NULLS FIRST) AS wcdc_place
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
  was, pending, base_hash, was_hash, was_version, confirmed, key_run, try_run, try_of, tries, failed_since, refused_of, refusals, refused_reason,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_1 ELSE p_1 END ELSE p_1 END AS p_1,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_2 ELSE p_2 END ELSE p_2 END AS p_2
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
  sum(CAST(hash AS NUMERIC(38, 0))) AS checksum
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
GROUP BY 1, 2, 3, 4, 5, 6;

-- create_rejections
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_rejections" (
  row_id VARCHAR(65535),
  op VARCHAR(65535),
  chunk INTEGER,
  outcome VARCHAR(65535),
  reason VARCHAR(65535),
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMPTZ,
  last_failed_at TIMESTAMPTZ
)
DISTKEY (row_id);

-- read_removed
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  p_1 AS c_1,
  p_2 AS c_2
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
  v_2 AS c_2
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
  v_2 AS c_2
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
    WHEN op = 'quarantined' THEN CASE WHEN coalesce(was, 'absent') IN ('absent', 'unconfirmed') THEN 'added' ELSE 'changed' END
    WHEN op = 'dropped' THEN 'unchanged'
    WHEN op = 'kept' THEN 'unchanged'
    ELSE op
  END AS op_type,
  CASE
    WHEN copies > 1 OR op = 'quarantined' THEN 'failed'
    WHEN outcome IN ('failed', 'unknown') THEN 'failed'
    WHEN outcome = 'aborted' THEN 'aborted'
    ELSE 'succeeded'
  END AS status,
  CASE
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN op = 'quarantined' THEN 'quarantined: ' || coalesce(refused_reason, 'rejected')
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(2 * OCTET_LENGTH(p_2) - OCTET_LENGTH(REPLACE(REPLACE(p_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(p_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_2, 10894) AS SUPER)), 'null') || '}') END ELSE CASE WHEN COALESCE(2 * OCTET_LENGTH(v_2) - OCTET_LENGTH(REPLACE(REPLACE(v_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(v_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_2, 10894) AS SUPER)), 'null') || '}') END END AS fields
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
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- snapshot_1
UPDATE "hightouch_audit"."sync_snapshot"
SET op_type = 'unchanged', status = 'succeeded', failure_reason = NULL, sync_run_id = '00000000000000000000000002'
WHERE (sync_id = 'people' AND SHA2(sync_id, 256) = SHA2('people', 256)) AND op_type <> 'unchanged'
AND NOT EXISTS (SELECT 1 FROM "hightouch_planner"."people_00000000000000000000000002_plan" p WHERE (p.row_id = "hightouch_audit"."sync_snapshot".row_id AND SHA2(p.row_id, 256) = SHA2("hightouch_audit"."sync_snapshot".row_id, 256)));

-- snapshot_2
DELETE FROM "hightouch_audit"."sync_snapshot"
WHERE (sync_id = 'people' AND SHA2(sync_id, 256) = SHA2('people', 256))
AND SHA2(row_id, 256) IN (SELECT SHA2(p.row_id, 256) FROM "hightouch_planner"."people_00000000000000000000000002_plan" p WHERE p.row_id IS NOT NULL)
AND SHA2(row_id, 256) NOT IN (
  SELECT SHA2(t.row_id, 256)
  FROM "hightouch_audit"."sync_snapshot" t
  JOIN (
SELECT
  row_id,
  outcome,
  op,
  CASE
    WHEN copies > 1 THEN CASE WHEN coalesce(was, 'absent') = 'absent' THEN 'added' ELSE 'changed' END
    WHEN op = 'quarantined' THEN CASE WHEN coalesce(was, 'absent') IN ('absent', 'unconfirmed') THEN 'added' ELSE 'changed' END
    WHEN op = 'dropped' THEN 'unchanged'
    WHEN op = 'kept' THEN 'unchanged'
    ELSE op
  END AS op_type,
  CASE
    WHEN copies > 1 OR op = 'quarantined' THEN 'failed'
    WHEN outcome IN ('failed', 'unknown') THEN 'failed'
    WHEN outcome = 'aborted' THEN 'aborted'
    ELSE 'succeeded'
  END AS status,
  CASE
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN op = 'quarantined' THEN 'quarantined: ' || coalesce(refused_reason, 'rejected')
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(2 * OCTET_LENGTH(p_2) - OCTET_LENGTH(REPLACE(REPLACE(p_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(p_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_2, 10894) AS SUPER)), 'null') || '}') END ELSE CASE WHEN COALESCE(2 * OCTET_LENGTH(v_2) - OCTET_LENGTH(REPLACE(REPLACE(v_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(v_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_2, 10894) AS SUPER)), 'null') || '}') END END AS fields
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
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON (a.row_id = t.row_id AND SHA2(a.row_id, 256) = SHA2(t.row_id, 256))
  WHERE (t.sync_id = 'people' AND SHA2(t.sync_id, 256) = SHA2('people', 256))
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND NOT ((a.failure_reason IS NOT NULL AND t.failure_reason IS NOT NULL AND a.failure_reason <> t.failure_reason) OR (a.failure_reason IS NULL AND t.failure_reason IS NOT NULL) OR (a.failure_reason IS NOT NULL AND t.failure_reason IS NULL))
    AND (a.op_type = 'unchanged' OR JSON_SERIALIZE(a.fields) = JSON_SERIALIZE(t.fields))
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
    WHEN op = 'quarantined' THEN CASE WHEN coalesce(was, 'absent') IN ('absent', 'unconfirmed') THEN 'added' ELSE 'changed' END
    WHEN op = 'dropped' THEN 'unchanged'
    WHEN op = 'kept' THEN 'unchanged'
    ELSE op
  END AS op_type,
  CASE
    WHEN copies > 1 OR op = 'quarantined' THEN 'failed'
    WHEN outcome IN ('failed', 'unknown') THEN 'failed'
    WHEN outcome = 'aborted' THEN 'aborted'
    ELSE 'succeeded'
  END AS status,
  CASE
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN op = 'quarantined' THEN 'quarantined: ' || coalesce(refused_reason, 'rejected')
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(2 * OCTET_LENGTH(p_2) - OCTET_LENGTH(REPLACE(REPLACE(p_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(p_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(p_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(p_2, 10894) AS SUPER)), 'null') || '}') END ELSE CASE WHEN COALESCE(2 * OCTET_LENGTH(v_2) - OCTET_LENGTH(REPLACE(REPLACE(v_2, CHR(92), ''), '"', '')) + 5 * REGEXP_COUNT(v_2, '[[:cntrl:]]'), 0) <= 65365 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(v_2 AS SUPER)), 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"email":' || COALESCE(JSON_SERIALIZE(CAST(LEFT(v_2, 10894) AS SUPER)), 'null') || '}') END END AS fields
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
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_snapshot" t WHERE (t.sync_id = 'people' AND SHA2(t.sync_id, 256) = SHA2('people', 256)) AND (t.row_id = a.row_id AND SHA2(t.row_id, 256) = SHA2(a.row_id, 256)));
