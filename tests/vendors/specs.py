"""Validates requests by the vendors' own API descriptions, if those are beside the project."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPECS = Path(__file__).resolve().parents[3] / "shared" / "specs"


@cache
def load(name: str) -> dict[str, Any] | None:
    """The API description, or None if it is not there: then nothing is validated by it."""
    path = SPECS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


@cache
def load_text(name: str) -> str | None:
    """An API description that is not JSON, by its file's name, or None if it is not there."""
    path = SPECS / name
    return path.read_text() if path.exists() else None


@cache
def _validator(name: str, path: str, method: str) -> Draft202012Validator | None:
    spec = load(name)
    if spec is None:
        return None
    schema = spec["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    registry = Registry().with_resource("urn:spec", Resource(contents=spec, specification=DRAFT202012))
    absolute = json.loads(json.dumps(schema).replace('"$ref": "#/', '"$ref": "urn:spec#/'))
    return Draft202012Validator(absolute, registry=registry)


def body_faults(name: str, path: str, method: str, body: Any) -> list[str]:
    """The violations of a JSON body."""
    validator = _validator(name, path, method)
    return [error.message[:200] for error in validator.iter_errors(body)] if validator else []


@cache
def _swagger_body(name: str, path: str, method: str) -> Draft202012Validator | None:
    spec = load(name)
    if spec is None:
        return None
    (body,) = (one for one in spec["paths"][path][method]["parameters"] if one.get("in") == "body")
    registry = Registry().with_resource("urn:spec", Resource(contents=spec, specification=DRAFT202012))
    absolute = json.loads(json.dumps(body["schema"]).replace('"$ref": "#/', '"$ref": "urn:spec#/'))
    return Draft202012Validator(absolute, registry=registry)


def parameter_faults(name: str, path: str, method: str, body: Any, query: dict[str, str]) -> list[str]:
    """The violations of a JSON body and a query, by Swagger 2.0."""
    spec, validator = load(name), _swagger_body(name, path, method)
    if spec is None or validator is None:
        return []
    faults = [f"{path}: {error.message[:200]}" for error in validator.iter_errors(body)]
    known = {
        spec["parameters"][one["$ref"].rpartition("/")[2]]["name"] if "$ref" in one else one["name"]
        for one in spec["paths"][path][method]["parameters"]
    }
    return faults + [f"{path}: {key} is unknown" for key in query if key not in known]


def form_faults(name: str, path: str, sent: dict[str, Any], newer: set[str]) -> list[str]:
    """Missing parameters, and those that neither the description (Swagger 2.0) nor ``newer`` has."""
    spec = load(name)
    if spec is None:
        return []
    (operation,) = spec["paths"][path].values()
    parameters = {one["name"]: one for one in operation["parameters"]}
    faults = [
        f"{key} is missing"
        for key, one in parameters.items()
        if one.get("required") and key != "token" and key not in sent
    ]
    return faults + [f"{key} is unknown" for key in sent if key not in parameters and key not in newer]


@cache
def _answer(name: str, path: str, method: str, status: int) -> Draft202012Validator | None:
    spec = load(name)
    if spec is None:
        return None
    response = spec["paths"][path][method]["responses"].get(str(status))
    if response is None:
        return None
    if "$ref" in response:
        found: Any = spec
        for part in response["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        response = found
    schema = response.get("schema") or response.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return None
    registry = Registry().with_resource("urn:spec", Resource(contents=spec, specification=DRAFT202012))
    absolute = json.loads(json.dumps(schema).replace('"$ref": "#/', '"$ref": "urn:spec#/'))
    return Draft202012Validator(absolute, registry=registry)


def answer_faults(name: str, path: str, method: str, status: int, answer: Any) -> list[str]:
    """The violations of a stand-in's own response: it must respond as its vendor does."""
    validator = _answer(name, path, method, status)
    return [f"answered {error.message[:200]}" for error in validator.iter_errors(answer)] if validator else []
