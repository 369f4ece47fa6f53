"""What the documentation must name: log events, metrics, commands, endpoints and the policy's keys, from the code."""

import ast
import asyncio
import inspect
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import typer.main
from fastapi.routing import iter_route_contexts
from temporalio.client import Client
from typer.core import TyperGroup

from cli.main import app as tocsin
from gateway.app import create_app
from gateway.dependencies import RequireCodecRole, RequireRole
from gateway.security.encryption import Keyring
from gateway.settings import GatewaySettings
from integrations.base.registry import destination_types
from policy.authoring.json_schema import policy_json_schema
from worker.retries import retry_forever

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = (
    *("alerts", "policy", "incident", "integrations", "audit", "activities"),
    *("workflows", "gateway", "worker", "simulation", "monitors", "cli"),
)


@cache
def modules() -> Mapping[str, ast.Module]:
    """The product's modules, by their path in the checkout."""
    files = [file for package in PRODUCT for file in sorted((ROOT / package).rglob("*.py"))]
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _calls(scope: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """The calls in a scope, each with the last part of the name that is called."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Call):
            yield node, node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)


def _assignments(scope: ast.AST) -> dict[str, ast.expr]:
    return {
        node.targets[0].id: node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _receiver(call: ast.Call) -> str:
    return ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""


# ── Log events ──────────────────────────────────────────────────────────────────────────────────────────────────────

WORKFLOW_FIELDS = frozenset({"incident", "workflow"})
"""A line about a workflow has one of them: ``workflow_field`` chooses."""
_LEVELS = {"exception": "error", **{level: level for level in ("debug", "info", "warning", "error", "critical")}}


class LogEvent(NamedTuple):
    levels: frozenset[str]
    fields: frozenset[str]


@cache
def log_events() -> Mapping[str, LogEvent]:
    """Every log event, with its levels and the fields of all its lines together.

    Raises:
        AssertionError: a call's event is no literal, so that nobody finds it by searching for its name.
    """
    found: dict[str, LogEvent] = {}
    for path, tree in modules().items():
        for scope in _scopes(tree):
            for name, levels, fields in [*_logged(scope, path), *_retried(scope)]:
                known = found.get(name, LogEvent(frozenset(), frozenset()))
                found[name] = LogEvent(known.levels | levels, known.fields | fields)
    return found


def _logged(scope: ast.AST, path: str) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    """The calls of a logger, which is named ``_log`` or, with fields bound to it, ``log``."""
    assigned = _assignments(scope)
    for call, method in _calls(scope):
        logger = _receiver(call)
        if method not in _LEVELS or logger not in {"_log", "log"}:
            continue
        event = call.args[0]
        if path == "worker/retries.py" and not isinstance(event, ast.Constant):
            continue  # the events of ``retry_forever``, which its callers name
        assert isinstance(event, ast.Constant), f"{path}:{call.lineno}: a log event without a literal name"
        bound = assigned.get(logger)
        more = _keywords(bound) if isinstance(bound, ast.Call) else frozenset[str]()
        yield str(event.value), frozenset({_LEVELS[method]}), _keywords(call) - {"exc_info"} | more


def _retried(scope: ast.AST) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    options = inspect.signature(retry_forever).parameters
    for call, method in _calls(scope):
        if method == retry_forever.__name__ and isinstance(call.args[0], ast.Constant):
            fields = _keywords(call) - set(options) | {"error", "attempt"}
            yield str(call.args[0].value), frozenset({"warning"}), fields


def _keywords(call: ast.Call) -> frozenset[str]:
    named = frozenset(keyword.arg for keyword in call.keywords if keyword.arg)
    one_of = any("workflow_field(" in ast.unparse(keyword.value) for keyword in call.keywords if not keyword.arg)
    return named | (WORKFLOW_FIELDS if one_of else frozenset())


# ── Metrics ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Metric(NamedTuple):
    type: str
    labels: frozenset[str]
    processes: frozenset[str]


@cache
def metrics() -> Mapping[str, Metric]:
    """Every metric of Tocsin's own, by the name that Prometheus shows."""
    found: dict[str, Metric] = {}
    for path, tree in modules().items():
        process = frozenset({"gateway" if path.startswith("gateway/") else "worker"})
        constants = _assignments(ast.Module(tree.body, []))
        for name, kind, labels in [*_prometheus_metrics(tree), *_sdk_metrics(tree, constants)]:
            known = found.get(name, Metric(kind, frozenset(), frozenset()))
            assert known.type == kind, f"{name} has two types"
            found[name] = Metric(kind, known.labels | labels, known.processes | process)
    return found


def _prometheus_metrics(tree: ast.Module) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Those of prometheus_client. Its counters get the suffix ``_total``."""
    for call, kind in _calls(tree):
        if kind in {"Counter", "Gauge", "Histogram"} and any(one.arg == "registry" for one in call.keywords):
            name = str(ast.literal_eval(call.args[0]))
            labels = frozenset[str](ast.literal_eval(call.args[2])) if len(call.args) > 2 else frozenset[str]()
            yield f"{name}_total" if kind == "Counter" else name, kind.lower(), labels


def _sdk_metrics(tree: ast.Module, constants: Mapping[str, ast.expr]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Those of a meter of Temporal's SDK. Their labels are where they are used, in the same function."""
    for scope in _scopes(tree):
        assigned = _assignments(scope)
        for call, method in _calls(scope):
            kind = re.fullmatch(r"create_(counter|histogram|gauge)\w*", method)
            if kind is None or not call.args:
                continue
            name = ast.literal_eval(_resolved(call.args[0], constants))
            variables = {variable for variable, value in assigned.items() if value is call}
            used = [
                _resolved(use.args[1], assigned)
                for use, verb in _calls(scope)
                if verb in {"add", "record", "set"}
                and len(use.args) == 2
                and (_receiver(use) in variables or (isinstance(use.func, ast.Attribute) and use.func.value is call))
            ]
            keys = [key for one in used if isinstance(one, ast.Dict) for key in one.keys if key is not None]
            yield str(name), kind[1], frozenset(str(ast.literal_eval(key)) for key in keys)


def _resolved(value: ast.expr, assigned: Mapping[str, ast.expr]) -> ast.expr:
    return assigned[value.id] if isinstance(value, ast.Name) else value


# ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Command(NamedTuple):
    options: frozenset[str]
    is_group: bool = False


@cache
def commands() -> Mapping[str, Command]:
    """Every command and every group of commands, as ``tocsin policy check``, with its options."""
    return dict(_commands(typer.main.get_command(tocsin), "tocsin"))


def _commands(command: Any, path: str) -> Iterator[tuple[str, Command]]:
    is_group = isinstance(command, TyperGroup)
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    yield path, Command(frozenset(options | {"--help"}), is_group)
    if is_group:
        for name in command.list_commands(cast("Any", None)):
            yield from _commands(command.get_command(cast("Any", None), name), f"{path} {name}")


# ── Endpoints ───────────────────────────────────────────────────────────────────────────────────────────────────────


def endpoints(folder: Path) -> Mapping[str, str]:
    """Every endpoint, as ``GET /healthz``, with the role of API tokens that it requires; empty if it requires none.

    The application is built as ``tocsin gateway`` builds it, with encryption, so that it has its codec server.
    """
    client = asyncio.run(Client.connect("127.0.0.1:9", lazy=True))
    settings = GatewaySettings(
        task_queue="docs",
        namespace="default",
        policy=lambda: "digest",
        dedup_store_url=f"sqlite:///{folder}/gateway.db",
        spool=folder / "spool.db",
        keys=Keyring.read((b64encode(bytes(32)).decode(),)),
        arize_secrets=("secret",),
    )
    found: dict[str, str] = {}
    for route in iter_route_contexts(create_app(settings, client).routes):
        dependencies = route.dependant.dependencies if hasattr(route, "dependant") else ()
        roles = [_required_role(one.call) for one in dependencies]
        for method in (route.methods or set()) - {"HEAD"}:
            found[f"{method} {route.path}"] = "".join(roles)
    return found


def _required_role(dependency: Callable[..., Any] | None) -> str:
    return dependency.role if isinstance(dependency, RequireRole | RequireCodecRole) else ""


# ── The policy ──────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def policy_keys() -> Mapping[str, frozenset[str]]:
    """The keys of every object in the policy's JSON Schema, by the object's name there; the file itself is ``""``."""
    schema = policy_json_schema(destination_types())
    objects: dict[str, Any] = {"": schema, **schema["$defs"]}
    return {name: frozenset(one["properties"]) for name, one in objects.items() if "properties" in one}


def policy_object(path: str) -> str:
    """The name, in the JSON Schema, of the objects at a path such as ``tiers.*.steps[]``."""
    schema = policy_json_schema(destination_types())
    node: Any = schema
    for step in path.replace("[]", ".[]").split("."):
        whole = schema["$defs"][_name(node)] if "$ref" in node else node
        if step == "[]":
            node = whole["items"]
        elif step == "*":
            values = whole.get("patternProperties") or whole.get("properties", {})
            node = whole.get("additionalProperties") or next(iter(values.values()))
        else:
            node = whole["properties"][step]
        node = next((one for one in node.get("anyOf", ()) if one.get("type") != "null"), node)
    return _name(node)


def _name(node: Mapping[str, Any]) -> str:
    return str(node["$ref"]).rpartition("/")[2]
