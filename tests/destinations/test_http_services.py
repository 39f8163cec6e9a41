"""The function contract and JSON-RPC connectors against real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.destinations.support import make_batch, make_context
from warehouse_cdc.destinations import HttpFunction, JsonRpc
from warehouse_cdc.mapping.values import tagged
from warehouse_cdc.testing import Fault, FaultServer

JSON = {"Content-Type": "application/json"}


class Shop:
    """A model in DuckDB and a sync."""

    def __init__(self, destination: Any, **options: Any) -> None:
        self.source = duckdb.connect()
        self.source.execute("create table t (id integer, name varchar)")
        self.warehouse = wcdc.connect(self.source)
        values: dict[str, Any] = {"on_removed": "delete", "max_removed": None, "require_rows": False}
        values |= {"retry_wait": 0.01, "retry_wait_max": 0.05, "concurrency": 1, **options}
        model = wcdc.Model("t", table="t", primary_key="id")
        self.sync = wcdc.Sync(id="s", model=model, destination=destination, **values)

    def fill(self, rows: int) -> None:
        self.source.execute("insert into t select i, 'n' || i from range(?) r(i)", [rows])

    def run(self) -> wcdc.Run:
        return self.warehouse.run(self.sync)


# -- functions ------------------------------------------------------------------------------------


class Function:
    """A function that refuses rows by name."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.answer = answer

    def script(self, number: int, path: str, body: bytes) -> Fault:
        call = json.loads(body)
        self.calls.append(call)
        errors = [
            {"primary_key_value": row["id"], "reason": "no name"} for row in call["rows"] if not row["name"]
        ]
        answer = self.answer if self.answer is not None else {"errors": errors} if errors else {}
        return Fault(status=200, body=answer if isinstance(answer, str) else json.dumps(answer), headers=JSON)


def test_a_function_gets_the_documented_payload() -> None:
    function = Function()
    with FaultServer(script=function.script) as server:
        shop = Shop(HttpFunction(server.url, batch_rows=10))
        shop.fill(3)
        assert shop.run().status == "success"
        shop.source.execute("delete from t where id = 0; update t set name = 'x' where id = 1")
        run = shop.run()
    assert [call["operation"] for call in function.calls] == ["add", "remove", "change"]
    added = function.calls[0]
    assert sorted(added) == ["metadata", "operation", "primary_key_column", "rows"]
    assert added["primary_key_column"] == "id"
    assert sorted(row["name"] for row in added["rows"]) == ["n0", "n1", "n2"]
    assert function.calls[1]["metadata"] == {"api_version": 1, "sync_id": "s", "sync_run_id": run.run_id}
    assert function.calls[1]["rows"] == [{"id": 0, "name": "n0"}]


def test_a_function_rejects_rows_by_their_key() -> None:
    function = Function()
    with FaultServer(script=function.script) as server:
        shop = Shop(HttpFunction(server.url, batch_rows=10))
        shop.source.execute("insert into t values (1, 'a'), (2, ''), (3, 'c')")
        run = shop.run()
        assert run.counts["added"].failed == 1
        (row,) = run.rejections().to_pylist()
        assert row["row_id"] == "2" and row["reason"] == "no name"
        shop.run()
    assert [row["id"] for row in function.calls[-1]["rows"]] == [2]


def test_a_row_that_cannot_be_encoded_keeps_its_reason_when_the_call_fails() -> None:
    schema = pa.schema([("id", pa.int64()), tagged("extra", "json")])
    context = make_context(schema, on_removed="delete")
    with FaultServer(script=lambda number, path, body: Fault(status=500)) as server:
        opened = HttpFunction(server.url).open(context)
        with pytest.raises(wcdc.DestinationError) as caught:
            opened.write(make_batch(context, [(1, "{}"), (2, "{oops")]))
        opened.close()
    assert caught.value.outcome_unknown and list(caught.value.outcomes) == [1]


@pytest.mark.parametrize("contract", ["function", "json_rpc"])
def test_a_rejection_by_the_matched_value_is_not_another_rows(contract: str) -> None:
    """Match isn't the primary key: one row's value is another row's id."""

    def script(number: int, path: str, body: bytes) -> Fault:
        call = json.loads(body)
        if contract == "function":
            answer: Any = {"errors": [{"primary_key_value": "2", "reason": "no"}]}
        else:
            result = {"rejectedRows": [{"id": "2", "reason": "no"}]}
            known = call["method"] == "add"
            answer = {"jsonrpc": "2.0", "id": call["id"]}
            answer |= {"result": result} if known else {"error": {"code": -32601, "message": "no method"}}
        return Fault(status=200, body=json.dumps(answer), headers=JSON)

    with FaultServer(script=script) as server:
        made = HttpFunction(server.url, batch_rows=10) if contract == "function" else JsonRpc(server.url)
        shop = Shop(made, match={"code": "code"}, on_removed="nothing")
        shop.source.execute(
            "create or replace table t as select * from (values (1, '2'), (2, '7')) v(id, code)"
        )
        (row,) = shop.run().rejections().to_pylist()
    assert row["row_id"] == "1"


def test_rows_can_be_named_by_their_id_and_numbers_without_their_last_zeros() -> None:
    for answered, expected in (('"1"', "1"), ("1.1", "2"), ('"1.10"', "2"), ("1.10", "2")):
        answer = f'{{"errors": [{{"primary_key_value": {answered}, "reason": "no"}}]}}'
        with FaultServer(script=Function(answer).script) as server:
            shop = Shop(HttpFunction(server.url, batch_rows=10), match={"code": "code"}, on_removed="nothing")
            rows = "(values (1, 7.00, 'a'), (2, 1.10, 'b')) v(id, code, name)"
            shop.source.execute(f"create or replace table t as select * from {rows}")
            (row,) = shop.run().rejections().to_pylist()
        assert row["row_id"] == expected and row["reason"] == "no"


def test_a_function_takes_one_row_by_default_and_a_thousand_at_most() -> None:
    function = Function()
    with FaultServer(script=function.script) as server:
        shop = Shop(HttpFunction(server.url))
        shop.fill(3)
        shop.run()
        assert [len(call["rows"]) for call in function.calls] == [1, 1, 1]
        with pytest.raises(wcdc.ConfigError):
            HttpFunction(server.url, batch_rows=1001)
        shop = Shop(HttpFunction(server.url), batch_rows=5000)
        function.calls.clear()
        shop.fill(2500)
        assert shop.run().status == "success"
        assert max(len(call["rows"]) for call in function.calls) <= 1000


@pytest.mark.parametrize(
    "answer",
    ["oops", [], {"errors": "all"}, {"errors": [{"primary_key_value": 99}]}, {"errors": ["x"]}],
    ids=["no JSON", "a list", "no list", "a stranger", "no objects"],
)
def test_an_answer_that_nobody_understands_leaves_the_outcome_unknown(answer: Any) -> None:
    with FaultServer(script=Function(answer).script) as server:
        shop = Shop(HttpFunction(server.url), max_attempts=1)
        shop.fill(1)
        (row,) = shop.run().rejections().to_pylist()
    assert "outcome unknown" in row["reason"]


def test_composite_keys_need_one_column_to_match() -> None:
    with FaultServer(script=Function().script) as server:
        shop = Shop(HttpFunction(server.url))
        shop.source.execute("create table two as select 1 as a, 2 as b, 'x' as name")
        model = wcdc.Model("two", table="two", primary_key=["a", "b"])
        sync = wcdc.Sync(id="two", model=model, destination=HttpFunction(server.url))
        with pytest.raises(wcdc.ConfigError, match="one column"):
            shop.warehouse.run(sync)
        assert not server.calls


# -- JSON-RPC -------------------------------------------------------------------------------------

OBJECTS = {"objects": [{"id": "user", "label": "User"}, {"id": "org", "label": "Organization"}]}
MODES = {"modes": [{"id": "upsert", "label": "Upsert"}]}
FIELDS = {
    "fields": [
        {"id": "id", "label": "Id", "identifier": True},
        {"id": "name", "label": "N", "required": True},
    ]
}


class Connector:
    """A JSON-RPC server with some methods."""

    def __init__(self, **methods: Callable[[dict[str, Any]], Any]) -> None:
        self.methods: dict[str, Callable[[dict[str, Any]], Any]] = {
            "add": self.write,
            "change": self.write,
            "remove": self.write,
            **methods,
        }
        self.calls: list[tuple[str, dict[str, Any]]] = []

    @staticmethod
    def write(params: dict[str, Any]) -> Any:
        key = params["idColumn"]
        return {
            "rejectedRows": [{"id": row[key], "reason": "no name"} for row in params["rows"] if not row["n"]]
        }

    def script(self, number: int, path: str, body: bytes) -> Fault:
        request = json.loads(body)
        assert request["jsonrpc"] == "2.0"
        method = self.methods.get(request["method"])
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if method is None:
            answer["error"] = {"code": -32601, "message": "Method not found"}
        else:
            self.calls.append((request["method"], request["params"]))
            try:
                answer["result"] = method(request["params"])
            except KeyError as error:
                answer["error"] = {"code": error.args[0], "message": "it broke on n7"}
        return Fault(status=200, body=json.dumps(answer), headers=JSON)

    def of(self, *names: str) -> list[Mapping[str, Any]]:
        return [params for name, params in self.calls if name in names]


def rpc_shop(server: FaultServer, destination: dict[str, Any] | None = None, **options: Any) -> Shop:
    made = JsonRpc(server.url, **(destination or {}))
    values: dict[str, Any] = {"mappings": {"name": "n"}, **options}
    shop = Shop(made, **values)
    shop.source.execute("create or replace table t (id integer, n varchar)")
    return shop


def test_a_connector_gets_rows_by_the_models_names_and_the_configuration() -> None:
    connector = Connector(
        list_objects=lambda params: OBJECTS,
        list_modes=lambda params: MODES if params == {"object": "user"} else {"modes": []},
        list_fields=lambda params: (
            FIELDS if params == {"object": "user", "mode": "upsert"} else {"fields": []}
        ),
        validate=lambda params: {"errors": []},
        behavior=lambda params: {
            "batchSize": 2,
            "operations": {"add": True, "change": True, "remove": False},
        },
    )
    with FaultServer(script=connector.script) as server:
        shop = rpc_shop(server, {"object": "user", "mode": "upsert", "options": {"archiveOnRemove": True}})
        shop.fill(5)
        assert shop.run().status == "success"
        shop.source.execute("delete from t where id = 0; update t set n = '' where id = 1")
        run = shop.run()
    expected = {
        "object": "user",
        "mode": "upsert",
        "identifierMapping": [{"from": "id", "to": "id"}],
        "mappings": [{"from": "n", "to": "name"}],
        "customMappings": [],
        "archiveOnRemove": True,
    }
    assert connector.of("validate")[0]["configuration"] == expected
    added = connector.of("add")
    assert {len(call["rows"]) for call in added} <= {1, 2}
    assert sorted(row["id"] for call in added for row in call["rows"]) == [0, 1, 2, 3, 4]
    assert all(sorted(row) == ["id", "n"] for call in added for row in call["rows"])
    assert all(call["configuration"] == expected and call["idColumn"] == "id" for call in added)
    assert not connector.of("remove"), "it doesn't want them"
    assert run.counts["removed"].succeeded == 1 and run.counts["changed"].failed == 1
    assert run.rejections().to_pylist()[0]["reason"] == "no name"


def test_a_connector_with_only_its_operations_is_enough() -> None:
    connector = Connector()
    with FaultServer(script=connector.script) as server:
        shop = rpc_shop(server)
        shop.fill(3)
        assert shop.run().status == "success"
        shop.source.execute("delete from t where id = 0")
        assert shop.run().status == "success"
    assert [name for name, _params in connector.calls] == ["add", "remove"]
    assert connector.of("remove")[0]["rows"] == [{"id": 0, "n": "n0"}]


WRONG = {
    "object": ({"object": "usr", "mode": "upsert"}, {}, "no object 'usr'"),
    "mode": ({"object": "user", "mode": "mirror"}, {}, "no mode 'mirror'"),
    "a required field": (
        {"object": "user", "mode": "upsert"},
        {"mappings": {"title": "n"}},
        "needs the field 'name'",
    ),
    "what validate says": ({"object": "org", "mode": "upsert"}, {}, "organizations have no names"),
    "a first run": ({"object": "user", "mode": "upsert", "options": {"x": 1}}, {}, "first run"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_refused_before_anything_is_sent(name: str) -> None:
    destination, options, message = WRONG[name]

    def validate(params: dict[str, Any]) -> Any:
        wrong = params["configuration"]["object"] == "org"
        return {"errors": ["organizations have no names"] if wrong else []}

    connector = Connector(
        list_objects=lambda params: OBJECTS,
        list_modes=lambda params: MODES,
        list_fields=lambda params: FIELDS,
        validate=validate,
        behavior=lambda params: {"skipInitialRun": name == "a first run"},
    )
    with FaultServer(script=connector.script) as server:
        shop = rpc_shop(server, destination, **options)
        shop.fill(1)
        with pytest.raises(wcdc.ConfigError, match=message):
            shop.run()
        finding = shop.warehouse.check(shop.sync)
    assert not connector.of("add")
    assert any(message in str(each) for each in finding)


SECRET = {"X-Api-Key": "s3cr3t-key"}


@pytest.mark.parametrize("method", ["validate", "list_objects", "list_fields", "add"])
def test_what_a_connector_tells_has_no_secrets(method: str) -> None:
    """Of those that it was sent."""
    answers = {
        "validate": {"errors": ["s3cr3t-key is old"]},
        "list_objects": {"objects": [{"id": "s3cr3t-key"}]},
        "list_fields": {"fields": [{"id": "s3cr3t-key", "required": True}]},
        "add": {"rejectedRows": [{"id": 0, "reason": "no s3cr3t-key"}]},
    }
    connector = Connector(**{method: lambda params: answers[method]})
    with FaultServer(script=connector.script) as server:
        shop = rpc_shop(server, {"headers": SECRET, "object": "user"})
        shop.fill(1)
        if method == "add":
            told = str(shop.run().rejections().to_pylist())
        else:
            with pytest.raises(wcdc.ConfigError) as caught:
                shop.run()
            told = str(caught.value)
    assert "s3cr3t" not in told and "…" in told


@pytest.mark.parametrize(("code", "unknown"), [(-32602, False), (-32603, True), (-32000, True)])
def test_an_error_of_a_method(code: int, unknown: bool) -> None:
    def fail(params: dict[str, Any]) -> Any:
        raise KeyError(code)

    connector = Connector(add=fail)
    with FaultServer(script=connector.script) as server:
        shop = rpc_shop(server, max_attempts=1)
        shop.fill(1)
        (row,) = shop.run().rejections().to_pylist()
    assert ("outcome unknown" in row["reason"]) is unknown
    assert f"code {code}" in row["reason"]
