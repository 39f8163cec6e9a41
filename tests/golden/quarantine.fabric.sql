-- setup_1
IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = 'hightouch_audit') BEGIN EXEC('CREATE SCHEMA [hightouch_audit]'); END;

-- setup_2
IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = 'hightouch_planner') BEGIN EXEC('CREATE SCHEMA [hightouch_planner]'); END;

-- create_sync_changelog
CREATE TABLE [hightouch_audit].[sync_changelog] (
  sync_id VARCHAR(MAX),
  sync_run_id VARCHAR(MAX),
  op_type VARCHAR(MAX),
  row_id VARCHAR(MAX),
  status VARCHAR(MAX),
  failure_reason VARCHAR(MAX),
  fields VARCHAR(MAX)
);

-- create_sync_snapshot
CREATE TABLE [hightouch_audit].[sync_snapshot] (
  sync_id VARCHAR(MAX),
  sync_run_id VARCHAR(MAX),
  op_type VARCHAR(MAX),
  row_id VARCHAR(MAX),
  status VARCHAR(MAX),
  failure_reason VARCHAR(MAX),
  fields VARCHAR(MAX)
);

-- create_sync_runs
CREATE TABLE [hightouch_audit].[sync_runs] (
  sync_id VARCHAR(MAX),
  sync_run_id VARCHAR(MAX),
  primary_key VARCHAR(MAX),
  destination VARCHAR(MAX),
  model_name VARCHAR(MAX),
  model_id VARCHAR(MAX),
  status VARCHAR(MAX),
  error VARCHAR(MAX),
  started_at DATETIME2(6),
  finished_at DATETIME2(6),
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

-- create_requests
CREATE TABLE [hightouch_planner].[wcdc_requests] (
  sync_id VARCHAR(MAX),
  sync_run_id VARCHAR(MAX),
  call_id VARCHAR(MAX),
  piece INTEGER,
  content VARCHAR(MAX)
);

-- first_plan
CREATE TABLE [hightouch_planner].[people_00000000000000000000000001_plan] AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    CAST([id] AS BIGINT) AS v_1,
    CAST([email] AS VARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_2
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(50)) AS row_id, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS VARCHAR(50)), '') + ',' AS VARCHAR(MAX)), COALESCE(CAST(DATALENGTH(v_2) AS VARCHAR(50)) + ':' + v_2, ','))) AS VARBINARY(8)) AS BIGINT) AS hash, CAST(1 AS BIT) AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.hash,
    CASE
      WHEN (m.in_model = 1) AND m.row_id IS NULL THEN 'null_key'
      ELSE 'added'
    END AS op
  FROM wcdc_current m
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(CAST(CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(8)) AS BIGINT) & 16383 AS INT) AS bucket,
  hash,
  v_1,
  v_2
FROM wcdc_joined;

-- first_rejections
CREATE TABLE [hightouch_planner].[people_00000000000000000000000001_rejections] (
  row_id VARCHAR(MAX),
  op VARCHAR(MAX),
  chunk INTEGER,
  outcome VARCHAR(MAX),
  reason VARCHAR(MAX),
  permanent BIT,
  attempts INTEGER,
  first_failed_at DATETIME2(6),
  last_failed_at DATETIME2(6)
);

-- first_changelog
INSERT INTO [hightouch_audit].[sync_changelog] (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS VARCHAR(MAX)) + CAST(copies AS VARCHAR(MAX)) + ' rows)'
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS VARCHAR(MAX)) + coalesce(CAST(': ' AS VARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(p_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(v_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(MAX)) AS was, CAST(NULL AS BIT) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(MAX)) AS was_version, CAST(NULL AS BIT) AS confirmed, CAST(NULL AS VARCHAR(MAX)) AS key_run, CAST(NULL AS VARCHAR(MAX)) AS try_run, CAST(NULL AS VARCHAR(MAX)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS DATETIME2(6)) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(MAX)) AS p_2 FROM [hightouch_planner].[people_00000000000000000000000001_plan] wcdc_lean) p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- first_snapshot_1
DELETE FROM [hightouch_audit].[sync_snapshot]
WHERE (sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(sync_id) = DATALENGTH('people'))
AND CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)) NOT IN (
  SELECT CAST(HASHBYTES('SHA2_256', t.row_id) AS VARBINARY(32))
  FROM [hightouch_audit].[sync_snapshot] t
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS VARCHAR(MAX)) + CAST(copies AS VARCHAR(MAX)) + ' rows)'
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS VARCHAR(MAX)) + coalesce(CAST(': ' AS VARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(p_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(v_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(MAX)) AS was, CAST(NULL AS BIT) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(MAX)) AS was_version, CAST(NULL AS BIT) AS confirmed, CAST(NULL AS VARCHAR(MAX)) AS key_run, CAST(NULL AS VARCHAR(MAX)) AS try_run, CAST(NULL AS VARCHAR(MAX)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS DATETIME2(6)) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(MAX)) AS p_2 FROM [hightouch_planner].[people_00000000000000000000000001_plan] wcdc_lean) p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON CAST(HASHBYTES('SHA2_256', a.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', t.row_id) AS VARBINARY(32))
  WHERE (t.sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(t.sync_id) = DATALENGTH('people'))
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND NOT ((CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) <> CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32))) OR (CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) IS NULL AND CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32)) IS NOT NULL) OR (CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32)) IS NULL))
    AND (CAST(HASHBYTES('SHA2_256', a.fields) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', t.fields) AS VARBINARY(32)))
);

-- first_snapshot_2
INSERT INTO [hightouch_audit].[sync_snapshot] (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS VARCHAR(MAX)) + CAST(copies AS VARCHAR(MAX)) + ' rows)'
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS VARCHAR(MAX)) + coalesce(CAST(': ' AS VARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(p_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(v_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(MAX)) AS was, CAST(NULL AS BIT) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(MAX)) AS was_version, CAST(NULL AS BIT) AS confirmed, CAST(NULL AS VARCHAR(MAX)) AS key_run, CAST(NULL AS VARCHAR(MAX)) AS try_run, CAST(NULL AS VARCHAR(MAX)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS DATETIME2(6)) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(MAX)) AS p_2 FROM [hightouch_planner].[people_00000000000000000000000001_plan] wcdc_lean) p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM [hightouch_audit].[sync_snapshot] t WHERE (t.sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(t.sync_id) = DATALENGTH('people')) AND CAST(HASHBYTES('SHA2_256', t.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', a.row_id) AS VARBINARY(32)));

-- checksum
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    CAST([id] AS BIGINT) AS v_1,
    CAST([email] AS VARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_2
  FROM wcdc_model
)
SELECT
  count(*) AS all_rows,
  count(CASE WHEN v_1 IS NOT NULL THEN 1 END) AS keyed_rows,
  SUM(CAST(CASE WHEN v_1 IS NOT NULL THEN CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS VARCHAR(50)), '') + ',' AS VARCHAR(MAX)), COALESCE(CAST(DATALENGTH(v_2) AS VARCHAR(50)) + ':' + v_2, ','))) AS VARBINARY(8)) AS BIGINT) END AS DECIMAL(38, 0))) AS checksum
FROM wcdc_stored;

-- copy_model
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_model] AS
SELECT CAST([id] AS BIGINT) AS v_1, CAST([email] AS VARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_2 FROM (
SELECT * FROM sales.people
) wcdc_model;

-- touched
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_touched] AS
WITH wcdc_model AS (
SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_model]
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
  FROM (SELECT v_1, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS VARCHAR(50)), '') + ',' AS VARCHAR(MAX)), COALESCE(CAST(DATALENGTH(v_2) AS VARCHAR(50)) + ':' + v_2, ','))) AS VARBINARY(8)) AS BIGINT) AS hash FROM wcdc_stored WHERE v_1 IS NOT NULL) m
  FULL JOIN (
    SELECT v_1, hash FROM [hightouch_planner].[people_00000000000000000000000001_plan] WHERE op NOT IN ('removed', 'null_key')
  ) b ON m.v_1 = b.v_1
  WHERE ((m.hash IS NOT NULL AND b.hash IS NOT NULL AND m.hash <> b.hash) OR (m.hash IS NULL AND b.hash IS NOT NULL) OR (m.hash IS NOT NULL AND b.hash IS NULL))
)
SELECT
  CAST(v_1 AS VARCHAR(50)) AS row_id,
  v_1 AS k_1,
  hash,
  base_hash
FROM wcdc_differing;

-- differences
SELECT
  count(*) AS touched,
  count(CASE WHEN hash IS NULL THEN 1 END) AS missing,
  count(DISTINCT CASE WHEN base_hash IS NULL THEN CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)) END) AS new_keys,
  count(*)
 AS news,
  SUM(CAST(hash AS DECIMAL(38, 0))) AS model_checksum,
  SUM(CAST(base_hash AS DECIMAL(38, 0))) AS base_checksum
FROM [hightouch_planner].[people_00000000000000000000000002_touched];

-- counts
WITH wcdc_model AS (
SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_model]
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
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_keys] AS
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(MAX)) AS was, CAST(NULL AS BIT) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(MAX)) AS was_version, CAST(NULL AS BIT) AS confirmed, CAST(NULL AS VARCHAR(MAX)) AS key_run, CAST(NULL AS VARCHAR(MAX)) AS try_run, CAST(NULL AS VARCHAR(MAX)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS DATETIME2(6)) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(MAX)) AS p_2 FROM [hightouch_planner].[people_00000000000000000000000001_plan] wcdc_lean) p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))

  ) o
  WHERE outcome NOT IN ('none', 'succeeded') OR copies > 1
)
SELECT row_id, k_1, base_hash
FROM [hightouch_planner].[people_00000000000000000000000002_touched]
GROUP BY row_id, CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)), k_1, base_hash
UNION ALL
SELECT row_id, v_1, base_hash
FROM wcdc_due d
WHERE NOT EXISTS (SELECT 1 FROM [hightouch_planner].[people_00000000000000000000000002_touched] t WHERE CAST(HASHBYTES('SHA2_256', t.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', d.row_id) AS VARBINARY(32)));

-- plan
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_plan] AS
WITH wcdc_model AS (
SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_model]
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
  JOIN [hightouch_planner].[people_00000000000000000000000002_keys] k ON x.v_1 = k.k_1
),
wcdc_current AS (
  SELECT x.*, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS VARCHAR(50)), '') + ',' AS VARCHAR(MAX)), COALESCE(CAST(DATALENGTH(v_2) AS VARCHAR(50)) + ':' + v_2, ','))) AS VARBINARY(8)) AS BIGINT) AS hash, CAST(1 AS BIT) AS in_model
  FROM wcdc_found x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN '4e8ff0d36139d3ce' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN CAST(1 AS BIT) ELSE coalesce(confirmed, CAST(0 AS BIT)) END AS confirmed,
  CAST(CASE WHEN op = 'removed' THEN 1 ELSE 0 END AS BIT) AS gone,
  CASE WHEN outcome = 'unknown' THEN coalesce(key_run, '00000000000000000000000001') WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN CAST(op AS VARCHAR(MAX)) + ':' + coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(MAX)), '') + ':4e8ff0d36139d3ce' WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_attempts, coalesce(tries, 0) + 1)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN tries END AS tries,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_first_failed_at, failed_since)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN failed_since END AS failed_since,
  CASE WHEN outcome = 'failed' AND r_permanent IS NOT NULL THEN CAST(op AS VARCHAR(MAX)) + ':' + coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(MAX)), '') + ':4e8ff0d36139d3ce' END AS refused_of,
  CASE WHEN outcome = 'failed' AND r_permanent IS NOT NULL THEN 1 END AS refusals,
  CASE WHEN outcome = 'failed' AND r_permanent IS NOT NULL THEN r_reason END AS refused_reason,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_1 ELSE p_1 END AS p_1,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_2 ELSE p_2 END AS p_2
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
    CAST(CASE WHEN (op IN ('added', 'changed') AND outcome = 'succeeded')
      OR (op = 'added' AND outcome = 'unknown' AND NOT (coalesce(confirmed, CAST(0 AS BIT)) = 1)) THEN 1 ELSE 0 END AS BIT) AS takes_new
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(MAX)) AS was, CAST(NULL AS BIT) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(MAX)) AS was_version, CAST(NULL AS BIT) AS confirmed, CAST(NULL AS VARCHAR(MAX)) AS key_run, CAST(NULL AS VARCHAR(MAX)) AS try_run, CAST(NULL AS VARCHAR(MAX)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS DATETIME2(6)) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(MAX)) AS p_2 FROM [hightouch_planner].[people_00000000000000000000000001_plan] wcdc_lean) p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.row_id IN (SELECT row_id FROM [hightouch_planner].[people_00000000000000000000000002_keys])

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
      WHEN (m.in_model = 1) AND m.row_id IS NULL THEN 'null_key'
      WHEN (m.in_model = 1) AND (s.state IS NULL OR s.state IN ('absent', 'unconfirmed')) THEN 'added'
      WHEN (m.in_model = 1) AND s.state = 'stale' THEN 'changed'
      WHEN (m.in_model = 1) AND (s.version IS NULL OR s.version <> '4e8ff0d36139d3ce') THEN 'changed'
      WHEN (m.in_model = 1) AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND (((CAST(HASHBYTES('SHA2_256', m.v_2) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', s.p_2) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', m.v_2) AS VARBINARY(32)) <> CAST(HASHBYTES('SHA2_256', s.p_2) AS VARBINARY(32))) OR (CAST(HASHBYTES('SHA2_256', m.v_2) AS VARBINARY(32)) IS NULL AND CAST(HASHBYTES('SHA2_256', s.p_2) AS VARBINARY(32)) IS NOT NULL) OR (CAST(HASHBYTES('SHA2_256', m.v_2) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', s.p_2) AS VARBINARY(32)) IS NULL)))
      ) THEN 'changed'
      WHEN (m.in_model = 1) THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
      ELSE 'gone'
    END AS op
  FROM [hightouch_planner].[people_00000000000000000000000002_keys] k
  LEFT JOIN wcdc_current m ON CAST(HASHBYTES('SHA2_256', m.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', k.row_id) AS VARBINARY(32))
  LEFT JOIN wcdc_prior s ON CAST(HASHBYTES('SHA2_256', s.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', k.row_id) AS VARBINARY(32))
)
SELECT
  row_id,
  CASE WHEN op IN ('added', 'changed') AND refused_of = CAST(op AS VARCHAR(MAX)) + ':' + coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(MAX)), '') + ':4e8ff0d36139d3ce' AND refusals >= 3 THEN 'quarantined' ELSE op END AS op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(CAST(CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(8)) AS BIGINT) & 16383 AS INT) AS bucket,
  hash,
  v_1,
  v_2,
  was,
  pending,
  base_hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = CAST(op AS VARCHAR(MAX)) + ':' + coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR(MAX)), '') + ':4e8ff0d36139d3ce' THEN try_run END AS key_run,
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
FROM [hightouch_planner].[people_00000000000000000000000002_plan]
WHERE op NOT IN ('removed', 'gone', 'null_key');

-- stage_duplicates
EXEC sp_rename '[hightouch_planner].[people_00000000000000000000000002_plan]', 'people_00000000000000000000000002_staged';

-- resolve_duplicates
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_plan] AS
WITH wcdc_ranked AS (
  SELECT x.*,
    count(*) OVER (PARTITION BY CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32))) AS wcdc_copies,
    row_number() OVER (PARTITION BY CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)) ORDER BY CAST(v_1 AS VARCHAR(50)) COLLATE Latin1_General_100_BIN2_UTF8, DATALENGTH(CAST(v_1 AS VARCHAR(50))), v_2 COLLATE Latin1_General_100_BIN2_UTF8, DATALENGTH(v_2)) AS wcdc_place
  FROM [hightouch_planner].[people_00000000000000000000000002_staged] x
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
DROP TABLE [hightouch_planner].[people_00000000000000000000000002_staged];

-- summary
SELECT op, was, pending, duplicate, in_base, bucket, count(*) AS row_count, SUM(CAST(hash AS DECIMAL(38, 0))) AS checksum
FROM (
  SELECT
    op,
    coalesce(was, 'absent') AS was,
    coalesce(pending, CAST(0 AS BIT)) AS pending,
    CAST(CASE WHEN copies > 1 THEN 1 ELSE 0 END AS BIT) AS duplicate,
    CAST(CASE WHEN base_hash IS NOT NULL THEN 1 ELSE 0 END AS BIT) AS in_base,
    CASE WHEN op IN ('added', 'changed', 'removed') THEN bucket END AS bucket,
    hash
  FROM [hightouch_planner].[people_00000000000000000000000002_plan] p
) counted
GROUP BY op, was, pending, duplicate, in_base, bucket;

-- create_rejections
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_rejections] (
  row_id VARCHAR(MAX),
  op VARCHAR(MAX),
  chunk INTEGER,
  outcome VARCHAR(MAX),
  reason VARCHAR(MAX),
  permanent BIT,
  attempts INTEGER,
  first_failed_at DATETIME2(6),
  last_failed_at DATETIME2(6)
);

-- read_removed
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  p_1 AS c_1,
  p_2 AS c_2
FROM [hightouch_planner].[people_00000000000000000000000002_plan]
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
FROM [hightouch_planner].[people_00000000000000000000000002_plan]
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
FROM [hightouch_planner].[people_00000000000000000000000002_plan]
WHERE op = 'added';

-- changelog
INSERT INTO [hightouch_audit].[sync_changelog] (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS VARCHAR(MAX)) + CAST(copies AS VARCHAR(MAX)) + ' rows)'
    WHEN op = 'quarantined' THEN CAST('quarantined: ' AS VARCHAR(MAX)) + coalesce(refused_reason, 'rejected')
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS VARCHAR(MAX)) + coalesce(CAST(': ' AS VARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(p_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(v_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') END AS fields
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
FROM [hightouch_planner].[people_00000000000000000000000002_plan] p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- snapshot_1
UPDATE [hightouch_audit].[sync_snapshot]
SET op_type = 'unchanged', status = 'succeeded', failure_reason = NULL, sync_run_id = '00000000000000000000000002'
WHERE (sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(sync_id) = DATALENGTH('people')) AND op_type <> 'unchanged'
AND CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)) NOT IN (SELECT CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)) FROM [hightouch_planner].[people_00000000000000000000000002_plan] WHERE row_id IS NOT NULL);

-- snapshot_2
DELETE FROM [hightouch_audit].[sync_snapshot]
WHERE (sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(sync_id) = DATALENGTH('people'))
AND CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)) IN (SELECT CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32)) FROM [hightouch_planner].[people_00000000000000000000000002_plan] p WHERE p.row_id IS NOT NULL)
AND CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(32)) NOT IN (
  SELECT CAST(HASHBYTES('SHA2_256', t.row_id) AS VARBINARY(32))
  FROM [hightouch_audit].[sync_snapshot] t
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS VARCHAR(MAX)) + CAST(copies AS VARCHAR(MAX)) + ' rows)'
    WHEN op = 'quarantined' THEN CAST('quarantined: ' AS VARCHAR(MAX)) + coalesce(refused_reason, 'rejected')
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS VARCHAR(MAX)) + coalesce(CAST(': ' AS VARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(p_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(v_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') END AS fields
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
FROM [hightouch_planner].[people_00000000000000000000000002_plan] p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON CAST(HASHBYTES('SHA2_256', a.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', t.row_id) AS VARBINARY(32))
  WHERE (t.sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(t.sync_id) = DATALENGTH('people'))
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND NOT ((CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) <> CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32))) OR (CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) IS NULL AND CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32)) IS NOT NULL) OR (CAST(HASHBYTES('SHA2_256', a.failure_reason) AS VARBINARY(32)) IS NOT NULL AND CAST(HASHBYTES('SHA2_256', t.failure_reason) AS VARBINARY(32)) IS NULL))
    AND (a.op_type = 'unchanged' OR CAST(HASHBYTES('SHA2_256', a.fields) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', t.fields) AS VARBINARY(32)))
);

-- snapshot_3
INSERT INTO [hightouch_audit].[sync_snapshot] (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS VARCHAR(MAX)) + CAST(copies AS VARCHAR(MAX)) + ' rows)'
    WHEN op = 'quarantined' THEN CAST('quarantined: ' AS VARCHAR(MAX)) + coalesce(refused_reason, 'rejected')
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS VARCHAR(MAX)) + coalesce(CAST(': ' AS VARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(p_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(v_1 AS VARCHAR(50)), 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), '}') END AS fields
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
FROM [hightouch_planner].[people_00000000000000000000000002_plan] p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM [hightouch_audit].[sync_snapshot] t WHERE (t.sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(t.sync_id) = DATALENGTH('people')) AND CAST(HASHBYTES('SHA2_256', t.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', a.row_id) AS VARBINARY(32)));
