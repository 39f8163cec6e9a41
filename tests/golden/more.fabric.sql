-- setup_1
IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = 'hightouch_audit') BEGIN EXEC('CREATE SCHEMA [hightouch_audit]'); END;

-- setup_2
IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = 'hightouch_planner') BEGIN EXEC('CREATE SCHEMA [hightouch_planner]'); END;

-- setup_3
GRANT CONTROL ON SCHEMA::[hightouch_audit] TO [it's];

-- setup_4
GRANT CREATE TABLE TO [it's];

-- setup_5
GRANT CONTROL ON SCHEMA::[hightouch_planner] TO [it's];

-- reset
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_plan] AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    CAST([id] AS BIGINT) AS v_1,
    CAST([active] AS BIT) AS v_2,
    CAST([born] AS DATE) AS v_3,
    CAST([email] AS VARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_4,
    CAST([extra] AS VARBINARY(MAX)) AS v_5,
    CAST([ltv] AS DECIMAL(12, 2)) AS v_6,
    CAST([region] AS VARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_7,
    CAST([score] AS FLOAT) AS v_8,
    CAST([seen] AS DATETIME2(6)) AS v_9,
    LOWER(CAST([token] AS VARCHAR(MAX))) COLLATE DATABASE_DEFAULT AS v_10,
    CAST([visited] AS DATETIME2(6)) AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(50)) AS row_id, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS VARCHAR(50)), '') + ',' AS VARCHAR(MAX)), COALESCE(CASE v_2 WHEN 1 THEN 'true' WHEN 0 THEN 'false' END, '') + ',', COALESCE(CONVERT(VARCHAR(10), v_3, 23), '') + ',', COALESCE(CAST(DATALENGTH(v_4) AS VARCHAR(50)) + ':' + v_4, ','), COALESCE('x' + LOWER(CONVERT(VARCHAR(MAX), v_5, 2)), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS VARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(CAST(DATALENGTH(v_7) AS VARCHAR(50)) + ':' + v_7, ','), COALESCE(CONVERT(VARCHAR(50), (v_8 + 0), 3), '') + ',', COALESCE(REPLACE(CONVERT(VARCHAR(50), v_9, 121), ' ', 'T') + 'Z', '') + ',', COALESCE(CAST(DATALENGTH(v_10) AS VARCHAR(50)) + ':' + v_10, ','), COALESCE(REPLACE(CONVERT(VARCHAR(50), v_11, 121), ' ', 'T') + 'Z', '') + ',')) AS VARBINARY(8)) AS BIGINT) AS hash, CAST(1 AS BIT) AS in_model
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
    m.v_8 AS v_8,
    m.v_9 AS v_9,
    m.v_10 AS v_10,
    m.v_11 AS v_11,
    m.hash,
    CASE
      WHEN (m.in_model = 1) AND m.row_id IS NULL THEN 'null_key'
      ELSE 'unchanged'
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
  v_2,
  v_3,
  v_4,
  v_5,
  v_6,
  v_7,
  v_8,
  v_9,
  v_10,
  v_11
FROM wcdc_joined;

-- drop_plan
DROP TABLE [hightouch_planner].[people_00000000000000000000000002_plan];

-- create_copy
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_adopted] (
  c_1 VARCHAR(MAX),
  c_2 VARCHAR(MAX),
  c_3 VARCHAR(MAX),
  c_4 VARCHAR(MAX),
  c_5 VARCHAR(MAX),
  c_6 VARCHAR(MAX),
  c_7 VARCHAR(MAX),
  c_8 VARCHAR(MAX),
  c_9 VARCHAR(MAX),
  c_10 VARCHAR(MAX),
  c_11 VARCHAR(MAX),
  due INTEGER
);

-- held
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_plan] AS
WITH wcdc_stored AS (
  SELECT
    CAST(c_1 AS BIGINT) AS v_1,
    CAST(c_2 AS BIT) AS v_2,
    CAST(c_3 AS DATE) AS v_3,
    CAST(c_4 AS VARCHAR(MAX)) AS v_4,
    CONVERT(VARBINARY(MAX), c_5, 2) AS v_5,
    CAST(c_6 AS DECIMAL(12, 2)) AS v_6,
    CAST(c_7 AS VARCHAR(MAX)) AS v_7,
    CAST(c_8 AS FLOAT) AS v_8,
    CAST(REPLACE(c_9, 'Z', '') AS DATETIME2(6)) AS v_9,
    CAST(c_10 AS VARCHAR(MAX)) AS v_10,
    CAST(REPLACE(c_11, 'Z', '') AS DATETIME2(6)) AS v_11,
    due
  FROM [hightouch_planner].[people_00000000000000000000000002_adopted]
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(50)) AS row_id, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS VARCHAR(50)), '') + ',' AS VARCHAR(MAX)), COALESCE(CASE v_2 WHEN 1 THEN 'true' WHEN 0 THEN 'false' END, '') + ',', COALESCE(CONVERT(VARCHAR(10), v_3, 23), '') + ',', COALESCE(CAST(DATALENGTH(v_4) AS VARCHAR(50)) + ':' + v_4, ','), COALESCE('x' + LOWER(CONVERT(VARCHAR(MAX), v_5, 2)), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS VARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(CAST(DATALENGTH(v_7) AS VARCHAR(50)) + ':' + v_7, ','), COALESCE(CONVERT(VARCHAR(50), (v_8 + 0), 3), '') + ',', COALESCE(REPLACE(CONVERT(VARCHAR(50), v_9, 121), ' ', 'T') + 'Z', '') + ',', COALESCE(CAST(DATALENGTH(v_10) AS VARCHAR(50)) + ':' + v_10, ','), COALESCE(REPLACE(CONVERT(VARCHAR(50), v_11, 121), ' ', 'T') + 'Z', '') + ',')) AS VARBINARY(8)) AS BIGINT) AS hash
  FROM wcdc_stored x
)
SELECT
  row_id,
  CASE WHEN row_id IS NULL THEN 'null_key' WHEN due = 0 THEN 'unchanged' WHEN due = 1 THEN 'changed' ELSE 'removed' END AS op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(CAST(CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(8)) AS BIGINT) & 16383 AS INT) AS bucket,
  hash,
  v_1,
  CASE WHEN due > 0 THEN v_1 END AS p_1,
  v_2,
  CASE WHEN due > 0 THEN v_2 END AS p_2,
  v_3,
  CASE WHEN due > 0 THEN v_3 END AS p_3,
  v_4,
  CASE WHEN due > 0 THEN v_4 END AS p_4,
  v_5,
  CASE WHEN due > 0 THEN v_5 END AS p_5,
  v_6,
  CASE WHEN due > 0 THEN v_6 END AS p_6,
  v_7,
  CASE WHEN due > 0 THEN v_7 END AS p_7,
  v_8,
  CASE WHEN due > 0 THEN v_8 END AS p_8,
  v_9,
  CASE WHEN due > 0 THEN v_9 END AS p_9,
  v_10,
  CASE WHEN due > 0 THEN v_10 END AS p_10,
  v_11,
  CASE WHEN due > 0 THEN v_11 END AS p_11,
  CASE WHEN due > 0 THEN CAST('stale' AS VARCHAR(MAX)) END AS was,
  CAST(CASE WHEN due = 2 THEN 1 ELSE 0 END AS BIT) AS pending,
  CASE WHEN due > 0 THEN hash END AS was_hash,
  CASE WHEN due > 0 THEN CAST('' AS VARCHAR(MAX)) END AS was_version,
  CAST(1 AS BIT) AS confirmed,
  CAST(NULL AS BIGINT) AS base_hash,
  CAST(NULL AS VARCHAR(MAX)) AS key_run,
  CAST(NULL AS VARCHAR(MAX)) AS try_run,
  CAST(NULL AS VARCHAR(MAX)) AS try_of,
  CAST(NULL AS INTEGER) AS tries,
  CAST(NULL AS DATETIME2(6)) AS failed_since
FROM wcdc_current;

-- drop_copy
DROP TABLE [hightouch_planner].[people_00000000000000000000000002_adopted];

-- claim
CREATE TABLE [hightouch_planner].[people_000000000002_claim] AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(0 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(MAX)) AS run_id, CAST('claimed' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST('{"owner": "me", "seconds": 60.0, "sync": "people"}' AS VARCHAR(MAX)) AS data;

-- beat_first
CREATE TABLE [hightouch_planner].[people_000000000002_beats] AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(MAX)) AS run_id, CAST('beat' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST('{}' AS VARCHAR(MAX)) AS data;

-- beat
INSERT INTO [hightouch_planner].[people_000000000002_beats] (generation, entry, run_id, event, recorded_at, data) SELECT CAST(2 AS BIGINT) AS generation, CAST(2 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(MAX)) AS run_id, CAST('beat' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST('{}' AS VARCHAR(MAX)) AS data;

-- end_other
CREATE TABLE [hightouch_planner].[people_000000000001_end] AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR(MAX)) AS run_id, CAST('delivered' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR(MAX)) AS data;

-- done_other
CREATE TABLE [hightouch_planner].[people_000000000001_done] AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000001 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR(MAX)) AS run_id, CAST('planned' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST((CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BIT", "kind": "boolean"}, "previous": {"name": "BIT", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARBINARY(MAX)", "kind": "binary"}, "previous": {"name": "VARBINARY(MAX)", "kind": "binary"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "DATETIME2(6)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(6)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "DATETIME2(6)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(6)", "kind": "timestamp"}}], "primary_key": ["id"], "mapping_version": "d41ef3a0fde84c70", "fingerprint_version": "e1c53798cce7e83f", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "pub' AS VARCHAR(MAX)) + 'lishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}') AS VARCHAR(MAX)) AS data UNION ALL SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000002 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR(MAX)) AS run_id, CAST('committed' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR(MAX)) AS data;

-- plan_entry
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_rejections] AS
SELECT CAST(NULL AS VARCHAR(MAX)) AS row_id, CAST(NULL AS VARCHAR(MAX)) AS op, CAST(NULL AS INTEGER) AS chunk, CAST(NULL AS VARCHAR(MAX)) AS outcome, CAST(NULL AS VARCHAR(MAX)) AS reason, CAST(NULL AS BIT) AS permanent, CAST(NULL AS INTEGER) AS attempts, CAST(NULL AS DATETIME2(6)) AS first_failed_at, CAST(NULL AS DATETIME2(6)) AS last_failed_at, generation, entry, run_id, event, recorded_at, data FROM (
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(MAX)) AS run_id, CAST('planned' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST((CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BIT", "kind": "boolean"}, "previous": {"name": "BIT", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARBINARY(MAX)", "kind": "binary"}, "previous": {"name": "VARBINARY(MAX)", "kind": "binary"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "DATETIME2(6)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(6)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "DATETIME2(6)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(6)", "kind": "timestamp"}}], "primary_key": ["id"], "mapping_version": "d41ef3a0fde84c70", "fingerprint_version": "e1c53798cce7e83f", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "pub' AS VARCHAR(MAX)) + 'lishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}') AS VARCHAR(MAX)) AS data
) wcdc_entry;

-- end
CREATE TABLE [hightouch_planner].[people_000000000002_end] AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1999999999 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(MAX)) AS run_id, CAST('planned' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST((CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BIT", "kind": "boolean"}, "previous": {"name": "BIT", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARBINARY(MAX)", "kind": "binary"}, "previous": {"name": "VARBINARY(MAX)", "kind": "binary"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "DATETIME2(6)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(6)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR(MAX)", "kind": "text"}, "previous": {"name": "VARCHAR(MAX)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "DATETIME2(6)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(6)", "kind": "timestamp"}}], "primary_key": ["id"], "mapping_version": "d41ef3a0fde84c70", "fingerprint_version": "e1c53798cce7e83f", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "pub' AS VARCHAR(MAX)) + 'lishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}') AS VARCHAR(MAX)) AS data UNION ALL SELECT CAST(2 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR(MAX)) AS run_id, CAST('committed' AS VARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR(MAX)) AS data;

-- look
SELECT generation, entry, run_id, event, recorded_at, data FROM [hightouch_planner].[people_000000000002_claim] WHERE event IS NOT NULL UNION ALL SELECT generation, entry, run_id, event, recorded_at, data FROM [hightouch_planner].[people_000000000002_beats] WHERE event IS NOT NULL;

-- left
SELECT entry, event, CAST(DATEDIFF(second, recorded_at, SYSUTCDATETIME()) AS FLOAT) AS age, data FROM [hightouch_planner].[people_000000000002_claim] UNION ALL SELECT entry, event, CAST(DATEDIFF(second, recorded_at, SYSUTCDATETIME()) AS FLOAT) AS age, data FROM [hightouch_planner].[people_000000000002_beats];

-- changelog_again
INSERT INTO [hightouch_audit].[sync_changelog] (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS VARCHAR(MAX)) + CAST(copies AS VARCHAR(MAX)) + ' rows)'
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS VARCHAR(MAX)) + coalesce(CAST(': ' AS VARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent: it''s "over"\
'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(p_1 AS VARCHAR(50)), 'null'), ',"active":', COALESCE(CASE p_2 WHEN 1 THEN 'true' WHEN 0 THEN 'false' END, 'null'), ',"born":', COALESCE('"' + CONVERT(VARCHAR(10), p_3, 23) + '"', 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_4 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), ',"extra":', COALESCE('"' + LOWER(CONVERT(VARCHAR(MAX), p_5, 2)) + '"', 'null'), ',"ltv":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_6 AS VARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), ',"region":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_7 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), ',"score":', COALESCE(CASE WHEN ABS(p_8) < 1e18 AND p_8 = FLOOR(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS VARCHAR(50)) ELSE CONVERT(VARCHAR(50), p_8, 3) END, 'null'), ',"seen":', COALESCE('"' + REPLACE(CONVERT(VARCHAR(50), p_9, 121), ' ', 'T') + 'Z' + '"', 'null'), ',"token":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_10 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), ',"visited":', COALESCE('"' + REPLACE(CONVERT(VARCHAR(50), p_11, 121), ' ', 'T') + 'Z' + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS VARCHAR(MAX)), '"id":', COALESCE(CAST(v_1 AS VARCHAR(50)), 'null'), ',"active":', COALESCE(CASE v_2 WHEN 1 THEN 'true' WHEN 0 THEN 'false' END, 'null'), ',"born":', COALESCE('"' + CONVERT(VARCHAR(10), v_3, 23) + '"', 'null'), ',"email":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_4 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), ',"extra":', COALESCE('"' + LOWER(CONVERT(VARCHAR(MAX), v_5, 2)) + '"', 'null'), ',"ltv":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS VARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), ',"region":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_7 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), ',"score":', COALESCE(CASE WHEN ABS(v_8) < 1e18 AND v_8 = FLOOR(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS VARCHAR(50)) ELSE CONVERT(VARCHAR(50), v_8, 3) END, 'null'), ',"seen":', COALESCE('"' + REPLACE(CONVERT(VARCHAR(50), v_9, 121), ' ', 'T') + 'Z' + '"', 'null'), ',"token":', COALESCE(CAST('"' AS VARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_10 COLLATE Latin1_General_100_BIN2_UTF8, '\', '\\'), '"', '\"'), CHAR(0), '\u0000'), CHAR(1), '\u0001'), CHAR(2), '\u0002'), CHAR(3), '\u0003'), CHAR(4), '\u0004'), CHAR(5), '\u0005'), CHAR(6), '\u0006'), CHAR(7), '\u0007'), CHAR(8), '\b'), CHAR(9), '\t'), CHAR(10), '\n'), CHAR(11), '\u000b'), CHAR(12), '\f'), CHAR(13), '\r'), CHAR(14), '\u000e'), CHAR(15), '\u000f'), CHAR(16), '\u0010'), CHAR(17), '\u0011'), CHAR(18), '\u0012'), CHAR(19), '\u0013'), CHAR(20), '\u0014'), CHAR(21), '\u0015'), CHAR(22), '\u0016'), CHAR(23), '\u0017'), CHAR(24), '\u0018'), CHAR(25), '\u0019'), CHAR(26), '\u001a'), CHAR(27), '\u001b'), CHAR(28), '\u001c'), CHAR(29), '\u001d'), CHAR(30), '\u001e'), CHAR(31), '\u001f') + '"', 'null'), ',"visited":', COALESCE('"' + REPLACE(CONVERT(VARCHAR(50), v_11, 121), ' ', 'T') + 'Z' + '"', 'null'), '}') END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' AND p.bucket >= 0 AND p.bucket <= 16383 THEN 'unknown'
    ELSE 'aborted'
  END AS outcome
FROM [hightouch_planner].[people_00000000000000000000000002_plan] p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_rejections] WHERE (chunk >= 0 AND chunk < 1)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT EXISTS (SELECT 1 FROM [hightouch_audit].[sync_changelog] t WHERE (t.sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(t.sync_id) = DATALENGTH('people')) AND t.sync_run_id = '00000000000000000000000002');

-- sync_run
INSERT INTO [hightouch_audit].[sync_runs] (sync_id, sync_run_id, primary_key, destination, model_name, model_id, status, error, started_at, finished_at, num_planned_add, num_planned_change, num_planned_remove, num_attempted_add, num_attempted_change, num_attempted_remove, num_succeeded_add, num_succeeded_change, num_succeeded_remove, num_failed_add, num_failed_change, num_failed_remove) SELECT 'people', '00000000000000000000000002', 'id', 'crm', 'it''s', 'people', 'failed', CAST('it''s "over"\
' AS VARCHAR(MAX)), CAST('1970-01-01T00:00:00.000000' AS DATETIME2(6)), SYSUTCDATETIME(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS (SELECT 1 FROM [hightouch_audit].[sync_runs] WHERE (sync_id = 'people' COLLATE Latin1_General_100_BIN2_UTF8 AND DATALENGTH(sync_id) = DATALENGTH('people')) AND sync_run_id = '00000000000000000000000002');
