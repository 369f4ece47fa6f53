"""The vendors' own API descriptions, as a judge of what we send. They lie beside the project, or not at all."""

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
    """The description, or None where it is not to be had: then requests are not checked against it."""
    path = SPECS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


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
    """What the description says is wrong with a JSON body."""
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
    """For Swagger 2.0: what is wrong with a JSON body, and with the query."""
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
    """For Swagger 2.0: parameters that are missing, or that neither the description nor ``newer`` knows."""
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
    said = spec["paths"][path][method]["responses"].get(str(status))
    if said is None:
        return None
    if "$ref" in said:
        found: Any = spec
        for part in said["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        said = found
    schema = said.get("schema") or said.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return None
    registry = Registry().with_resource("urn:spec", Resource(contents=spec, specification=DRAFT202012))
    absolute = json.loads(json.dumps(schema).replace('"$ref": "#/', '"$ref": "urn:spec#/'))
    return Draft202012Validator(absolute, registry=registry)


def answer_faults(name: str, path: str, method: str, status: int, answer: Any) -> list[str]:
    """What the description says is wrong with an answer of a stand-in: it must speak as its vendor does."""
    validator = _answer(name, path, method, status)
    return [f"answered {error.message[:200]}" for error in validator.iter_errors(answer)] if validator else []
