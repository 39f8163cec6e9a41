-- setup_1
IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = N'hightouch_audit') BEGIN EXEC('CREATE SCHEMA [hightouch_audit]'); END;

-- setup_2
IF NOT EXISTS (SELECT 1 FROM sys.schemas WHERE name = N'hightouch_planner') BEGIN EXEC('CREATE SCHEMA [hightouch_planner]'); END;

-- setup_3
GRANT CONTROL ON SCHEMA::[hightouch_audit] TO [it's];

-- setup_4
GRANT CREATE TABLE TO [it's];

-- setup_5
GRANT CONTROL ON SCHEMA::[hightouch_planner] TO [it's];

-- setup_6
-- Without this, statements that a killed process left running aren't found and ended:
GRANT VIEW DATABASE STATE TO [it's];

-- reset
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_plan]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    CAST([id] AS BIGINT) AS v_1,
    CAST([active] AS BIT) AS v_2,
    CAST([born] AS DATE) AS v_3,
    CAST([email] AS NVARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_4,
    CAST([extra] AS VARBINARY(MAX)) AS v_5,
    CAST([ltv] AS DECIMAL(12, 2)) AS v_6,
    CAST([region] AS NVARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_7,
    CAST([score] AS FLOAT) AS v_8,
    CAST([seen] AS DATETIME2(7)) AS v_9,
    LOWER(CAST([token] AS NVARCHAR(MAX))) COLLATE DATABASE_DEFAULT AS v_10,
    CAST(SWITCHOFFSET([visited], '+00:00') AS DATETIME2(7)) AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS NVARCHAR(50)) AS row_id, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS NVARCHAR(50)), '') + ',' AS NVARCHAR(MAX)), COALESCE(CASE v_2 WHEN 1 THEN N'true' WHEN 0 THEN N'false' END, '') + ',', COALESCE(CONVERT(NVARCHAR(10), v_3, 23), '') + ',', COALESCE(CAST(DATALENGTH(v_4) AS NVARCHAR(50)) + ':' + v_4, ','), COALESCE('x' + LOWER(CONVERT(NVARCHAR(MAX), v_5, 2)), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(CAST(DATALENGTH(v_7) AS NVARCHAR(50)) + ':' + v_7, ','), COALESCE(CONVERT(NVARCHAR(50), (v_8 + 0), 3), '') + ',', COALESCE(LEFT(REPLACE(CONVERT(NVARCHAR(50), v_9, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, v_9) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), v_9, 121), ' ', 'T'), 1) ELSE '' END + 'Z', '') + ',', COALESCE(CAST(DATALENGTH(v_10) AS NVARCHAR(50)) + ':' + v_10, ','), COALESCE(LEFT(REPLACE(CONVERT(NVARCHAR(50), v_11, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, v_11) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), v_11, 121), ' ', 'T'), 1) ELSE '' END + 'Z', '') + ',')) AS VARBINARY(8)) AS BIGINT) AS hash, CAST(1 AS BIT) AS in_model
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
  c_1 NVARCHAR(MAX),
  c_2 NVARCHAR(MAX),
  c_3 NVARCHAR(MAX),
  c_4 NVARCHAR(MAX),
  c_5 NVARCHAR(MAX),
  c_6 NVARCHAR(MAX),
  c_7 NVARCHAR(MAX),
  c_8 NVARCHAR(MAX),
  c_9 NVARCHAR(MAX),
  c_10 NVARCHAR(MAX),
  c_11 NVARCHAR(MAX),
  due INTEGER
)
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP);

-- held
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_plan]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
WITH wcdc_stored AS (
  SELECT
    CAST(c_1 AS BIGINT) AS v_1,
    CAST(c_2 AS BIT) AS v_2,
    CAST(c_3 AS DATE) AS v_3,
    CAST(c_4 AS NVARCHAR(MAX)) AS v_4,
    CONVERT(VARBINARY(MAX), c_5, 2) AS v_5,
    CAST(c_6 AS DECIMAL(12, 2)) AS v_6,
    CAST(c_7 AS NVARCHAR(MAX)) AS v_7,
    CAST(c_8 AS FLOAT) AS v_8,
    CAST(REPLACE(c_9, 'Z', '') AS DATETIME2(7)) AS v_9,
    CAST(c_10 AS NVARCHAR(MAX)) AS v_10,
    CAST(REPLACE(c_11, 'Z', '') AS DATETIME2(7)) AS v_11,
    due
  FROM [hightouch_planner].[people_00000000000000000000000002_adopted]
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS NVARCHAR(50)) AS row_id, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS NVARCHAR(50)), '') + ',' AS NVARCHAR(MAX)), COALESCE(CASE v_2 WHEN 1 THEN N'true' WHEN 0 THEN N'false' END, '') + ',', COALESCE(CONVERT(NVARCHAR(10), v_3, 23), '') + ',', COALESCE(CAST(DATALENGTH(v_4) AS NVARCHAR(50)) + ':' + v_4, ','), COALESCE('x' + LOWER(CONVERT(NVARCHAR(MAX), v_5, 2)), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(CAST(DATALENGTH(v_7) AS NVARCHAR(50)) + ':' + v_7, ','), COALESCE(CONVERT(NVARCHAR(50), (v_8 + 0), 3), '') + ',', COALESCE(LEFT(REPLACE(CONVERT(NVARCHAR(50), v_9, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, v_9) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), v_9, 121), ' ', 'T'), 1) ELSE '' END + 'Z', '') + ',', COALESCE(CAST(DATALENGTH(v_10) AS NVARCHAR(50)) + ':' + v_10, ','), COALESCE(LEFT(REPLACE(CONVERT(NVARCHAR(50), v_11, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, v_11) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), v_11, 121), ' ', 'T'), 1) ELSE '' END + 'Z', '') + ',')) AS VARBINARY(8)) AS BIGINT) AS hash
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
  CASE WHEN due > 0 THEN CAST('stale' AS NVARCHAR(MAX)) END AS was,
  CAST(CASE WHEN due = 2 THEN 1 ELSE 0 END AS BIT) AS pending,
  CASE WHEN due > 0 THEN hash END AS was_hash,
  CASE WHEN due > 0 THEN CAST('' AS NVARCHAR(MAX)) END AS was_version,
  CAST(1 AS BIT) AS confirmed,
  CAST(NULL AS BIGINT) AS base_hash,
  CAST(NULL AS NVARCHAR(MAX)) AS key_run,
  CAST(NULL AS NVARCHAR(MAX)) AS try_run,
  CAST(NULL AS NVARCHAR(MAX)) AS try_of,
  CAST(NULL AS INTEGER) AS tries,
  CAST(NULL AS DATETIME2(6)) AS failed_since
FROM wcdc_current;

-- drop_copy
DROP TABLE [hightouch_planner].[people_00000000000000000000000002_adopted];

-- claim
CREATE TABLE [hightouch_planner].[people_000000000002_claim]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(0 AS INTEGER) AS entry, CAST(N'00000000000000000000000002' AS NVARCHAR(MAX)) AS run_id, CAST(N'claimed' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST(N'{"owner": "me", "seconds": 60.0, "sync": "people"}' AS NVARCHAR(MAX)) AS data;

-- beat_first
CREATE TABLE [hightouch_planner].[people_000000000002_beats]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST(N'00000000000000000000000002' AS NVARCHAR(MAX)) AS run_id, CAST(N'beat' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST(N'{}' AS NVARCHAR(MAX)) AS data;

-- beat
INSERT INTO [hightouch_planner].[people_000000000002_beats] (generation, entry, run_id, event, recorded_at, data) SELECT CAST(2 AS BIGINT) AS generation, CAST(2 AS INTEGER) AS entry, CAST(N'00000000000000000000000002' AS NVARCHAR(MAX)) AS run_id, CAST(N'beat' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST(N'{}' AS NVARCHAR(MAX)) AS data;

-- end_other
CREATE TABLE [hightouch_planner].[people_000000000001_end]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST(N'00000000000000000000000001' AS NVARCHAR(MAX)) AS run_id, CAST(N'delivered' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST(N'{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS NVARCHAR(MAX)) AS data;

-- done_other
CREATE TABLE [hightouch_planner].[people_000000000001_done]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000001 AS INTEGER) AS entry, CAST(N'00000000000000000000000001' AS NVARCHAR(MAX)) AS run_id, CAST(N'planned' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST((CAST(N'{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BIT", "kind": "boolean"}, "previous": {"name": "BIT", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARBINARY(MAX)", "kind": "binary"}, "previous": {"name": "VARBINARY(MAX)", "kind": "binary"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "DATETIME2(7)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(7)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "DATETIME2(7)", "kind": "timestamptz"}, "previous": {"name": "DATETIME2(7)", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "d41ef3a0fde84c70", "fingerprint_version": "6949141b6cda2bb0", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": ' AS NVARCHAR(MAX)) + N'true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}') AS NVARCHAR(MAX)) AS data UNION ALL SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000002 AS INTEGER) AS entry, CAST(N'00000000000000000000000001' AS NVARCHAR(MAX)) AS run_id, CAST(N'committed' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST(N'{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS NVARCHAR(MAX)) AS data;

-- plan_entry
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_rejections]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST(NULL AS NVARCHAR(MAX)) AS row_id, CAST(NULL AS NVARCHAR(MAX)) AS op, CAST(NULL AS INTEGER) AS chunk, CAST(NULL AS NVARCHAR(MAX)) AS outcome, CAST(NULL AS NVARCHAR(MAX)) AS reason, CAST(NULL AS BIT) AS permanent, CAST(NULL AS INTEGER) AS attempts, CAST(NULL AS DATETIME2(6)) AS first_failed_at, CAST(NULL AS DATETIME2(6)) AS last_failed_at, generation, entry, run_id, event, recorded_at, data FROM (
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST(N'00000000000000000000000002' AS NVARCHAR(MAX)) AS run_id, CAST(N'planned' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST((CAST(N'{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BIT", "kind": "boolean"}, "previous": {"name": "BIT", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARBINARY(MAX)", "kind": "binary"}, "previous": {"name": "VARBINARY(MAX)", "kind": "binary"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "DATETIME2(7)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(7)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "DATETIME2(7)", "kind": "timestamptz"}, "previous": {"name": "DATETIME2(7)", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "d41ef3a0fde84c70", "fingerprint_version": "6949141b6cda2bb0", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": ' AS NVARCHAR(MAX)) + N'true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}') AS NVARCHAR(MAX)) AS data
) wcdc_entry;

-- end
CREATE TABLE [hightouch_planner].[people_000000000002_end]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1999999999 AS INTEGER) AS entry, CAST(N'00000000000000000000000002' AS NVARCHAR(MAX)) AS run_id, CAST(N'planned' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST((CAST(N'{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BIT", "kind": "boolean"}, "previous": {"name": "BIT", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARBINARY(MAX)", "kind": "binary"}, "previous": {"name": "VARBINARY(MAX)", "kind": "binary"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "DATETIME2(7)", "kind": "timestamp"}, "previous": {"name": "DATETIME2(7)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "NVARCHAR(MAX)", "kind": "text"}, "previous": {"name": "NVARCHAR(MAX)", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "DATETIME2(7)", "kind": "timestamptz"}, "previous": {"name": "DATETIME2(7)", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "d41ef3a0fde84c70", "fingerprint_version": "6949141b6cda2bb0", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": ' AS NVARCHAR(MAX)) + N'true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}') AS NVARCHAR(MAX)) AS data UNION ALL SELECT CAST(2 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST(N'00000000000000000000000002' AS NVARCHAR(MAX)) AS run_id, CAST(N'committed' AS NVARCHAR(MAX)) AS event, CAST(SYSUTCDATETIME() AS DATETIME2(6)) AS recorded_at, CAST(N'{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS NVARCHAR(MAX)) AS data;

-- look
SELECT generation, entry, run_id, event, recorded_at, data FROM [hightouch_planner].[people_000000000002_claim] WHERE event IS NOT NULL UNION ALL SELECT generation, entry, run_id, event, recorded_at, data FROM [hightouch_planner].[people_000000000002_beats] WHERE event IS NOT NULL;

-- left
SELECT entry, event, CAST(DATEDIFF(second, recorded_at, SYSUTCDATETIME()) AS FLOAT) AS age, data FROM [hightouch_planner].[people_000000000002_claim] UNION ALL SELECT entry, event, CAST(DATEDIFF(second, recorded_at, SYSUTCDATETIME()) AS FLOAT) AS age, data FROM [hightouch_planner].[people_000000000002_beats];

-- changelog_again
INSERT INTO [hightouch_audit].[sync_changelog] (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT N'people', N'00000000000000000000000002', op_type, row_id, status, failure_reason, fields
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS NVARCHAR(MAX)) + CAST(copies AS NVARCHAR(MAX)) + ' rows)'
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS NVARCHAR(MAX)) + coalesce(CAST(': ' AS NVARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN N'not sent: it''s "over"\
'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS NVARCHAR(MAX)), N'"id":', COALESCE(CAST(p_1 AS NVARCHAR(50)), 'null'), N',"active":', COALESCE(CASE p_2 WHEN 1 THEN N'true' WHEN 0 THEN N'false' END, 'null'), N',"born":', COALESCE('"' + CONVERT(NVARCHAR(10), p_3, 23) + '"', 'null'), N',"email":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_4 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"extra":', COALESCE('"' + LOWER(CONVERT(NVARCHAR(MAX), p_5, 2)) + '"', 'null'), N',"ltv":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"region":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_7 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"score":', COALESCE(CASE WHEN ABS(p_8) < 1e18 AND p_8 = FLOOR(p_8) THEN CAST(CAST(p_8 AS BIGINT) AS NVARCHAR(50)) ELSE CONVERT(NVARCHAR(50), p_8, 3) END, 'null'), N',"seen":', COALESCE('"' + LEFT(REPLACE(CONVERT(NVARCHAR(50), p_9, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, p_9) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), p_9, 121), ' ', 'T'), 1) ELSE '' END + 'Z' + '"', 'null'), N',"token":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_10 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"visited":', COALESCE('"' + LEFT(REPLACE(CONVERT(NVARCHAR(50), p_11, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, p_11) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), p_11, 121), ' ', 'T'), 1) ELSE '' END + 'Z' + '"', 'null'), '}') ELSE CONCAT(CAST('{' AS NVARCHAR(MAX)), N'"id":', COALESCE(CAST(v_1 AS NVARCHAR(50)), 'null'), N',"active":', COALESCE(CASE v_2 WHEN 1 THEN N'true' WHEN 0 THEN N'false' END, 'null'), N',"born":', COALESCE('"' + CONVERT(NVARCHAR(10), v_3, 23) + '"', 'null'), N',"email":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_4 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"extra":', COALESCE('"' + LOWER(CONVERT(NVARCHAR(MAX), v_5, 2)) + '"', 'null'), N',"ltv":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"region":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_7 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"score":', COALESCE(CASE WHEN ABS(v_8) < 1e18 AND v_8 = FLOOR(v_8) THEN CAST(CAST(v_8 AS BIGINT) AS NVARCHAR(50)) ELSE CONVERT(NVARCHAR(50), v_8, 3) END, 'null'), N',"seen":', COALESCE('"' + LEFT(REPLACE(CONVERT(NVARCHAR(50), v_9, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, v_9) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), v_9, 121), ' ', 'T'), 1) ELSE '' END + 'Z' + '"', 'null'), N',"token":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_10 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"visited":', COALESCE('"' + LEFT(REPLACE(CONVERT(NVARCHAR(50), v_11, 121), ' ', 'T'), 26) + CASE WHEN DATEPART(nanosecond, v_11) / 100 % 10 > 0 THEN RIGHT(REPLACE(CONVERT(NVARCHAR(50), v_11, 121), ' ', 'T'), 1) ELSE '' END + 'Z' + '"', 'null'), '}') END AS fields
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
WHERE NOT EXISTS (SELECT 1 FROM [hightouch_audit].[sync_changelog] t WHERE (t.sync_id = N'people' COLLATE Latin1_General_100_BIN2 AND DATALENGTH(t.sync_id) = DATALENGTH(N'people')) AND t.sync_run_id = N'00000000000000000000000002');

-- sync_run
INSERT INTO [hightouch_audit].[sync_runs] (sync_id, sync_run_id, primary_key, destination, model_name, model_id, status, error, started_at, finished_at, num_planned_add, num_planned_change, num_planned_remove, num_attempted_add, num_attempted_change, num_attempted_remove, num_succeeded_add, num_succeeded_change, num_succeeded_remove, num_failed_add, num_failed_change, num_failed_remove) SELECT N'people', N'00000000000000000000000002', N'id', N'crm', N'it''s', N'people', N'failed', CAST(N'it''s "over"\
' AS NVARCHAR(MAX)), CAST('1970-01-01T00:00:00.000000' AS DATETIME2(6)), SYSUTCDATETIME(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS (SELECT 1 FROM [hightouch_audit].[sync_runs] WHERE (sync_id = N'people' COLLATE Latin1_General_100_BIN2 AND DATALENGTH(sync_id) = DATALENGTH(N'people')) AND sync_run_id = N'00000000000000000000000002');
