"""The OpenAPI document is valid, and its examples are real requests and responses.

Most tests also run on the descriptions of the other servers' protocols.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from flask.testing import FlaskClient
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from schemathesis.specs.openapi.definitions import OPENAPI_31
from werkzeug.test import TestResponse

from app import Service, Settings, create_app
from app.api_keys import new_entry
from app.models import DocumentedModel, LoadedModel
from app.openapi import build_document
from app.openapi.error_examples import error_examples
from app.openapi.objects import object_
from app.openapi.objects import response as response_object
from app.routing import Router
from app.web import PROBLEM_TYPES, PUBLIC, ErrorResponse, ServiceResponse
from model.artifacts import Artifact, Store
from model.schema import Schema
from tests.conftest import remove_optional_files
from tests.protocol_descriptions import protocol_document

Json = dict[str, Any]
INSTANCE = "/requests/"


@pytest.fixture(scope="module")
def app(trained: Store) -> Service:
    return create_app(Settings(model_store=trained.folder, max_records=30, max_explained=7))


@pytest.fixture(scope="module")
def document(app: Service) -> Json:
    return document_of(app)


@pytest.fixture(scope="module", params=["our own routes", "other protocols"])
def described(request: pytest.FixtureRequest, app: Service) -> Json:
    """Return the service's document, then that of the routes which it only links to."""
    return document_of(app) if request.param == "our own routes" else protocol_document(app)


def document_of(app: Service) -> Json:
    response = app.test_client().get("/openapi.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    document: Json = response.get_json()
    return document


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def validator(document: Json, schema: Json) -> jsonschema.Draft202012Validator:
    """Return the validator of a schema that refers to the document's components."""
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:openapi#/'))
    return jsonschema.Draft202012Validator(absolute, registry=registry)


def without_instance(content: Json) -> Json:
    assert content["instance"].startswith(INSTANCE)
    return {**content, "instance": INSTANCE}


def test_the_document_is_valid(described: Json) -> None:
    jsonschema.Draft202012Validator(OPENAPI_31).validate(described)
    for name, schema in described["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        validator(described, schema).is_valid({})  # raises for a reference to nothing
        assert f'"#/components/schemas/{name}' in json.dumps(described), f"nothing refers to {name}"


def test_our_own_routes_are_described_and_the_others_linked(app: Service, document: Json) -> None:
    own = {(route.method, route.documented_path) for route in app.routes if not route.protocol}
    assert {(method, path) for method, path, _ in operations(document)} == own
    linked = {tag["name"]: tag.get("externalDocs") for tag in document["tags"]}
    for route in app.routes:
        if route.protocol:
            assert linked[route.protocol.name] == {"url": f"/docs/{route.protocol.slug}"}
        else:
            assert linked[route.tag] is None and route.summary.endswith(".")


def test_a_path_that_a_platform_chooses_is_described(trained: Store) -> None:
    settings = Settings(
        model_store=trained.folder, health_route="/v1/models", predict_route="/v1/ask"
    )
    paths = document_of(create_app(settings))["paths"]
    assert paths["/v1/models"]["get"]["summary"].startswith("Report whether"), "KServe's path"
    assert paths["/v1/models"]["get"]["responses"]["503"]
    assert set(paths["/v1/models"]) == {"get"} and set(paths["/v1/ask"]) == {"post"}
    assert paths["/v1/ask"]["post"]["responses"]["422"]


def test_the_record_schema_matches_the_schema(document: Json, schema: Schema) -> None:
    record = document["components"]["schemas"]["Record"]
    assert record["required"] == list(record["properties"]) == list(schema.column_names)
    for column in schema.columns:
        described_column = record["properties"][column.name]
        assert described_column["title"] == column.title
        if column.kind == "number":
            assert described_column["minimum"] == column.minimum
            assert described_column["maximum"] == column.maximum
            assert described_column.get("x-unit", "") == column.unit
        else:
            assert set(described_column["enum"]) - {None} == set(column.allowed)
            assert list(described_column["x-levels"].values()) == [c.label for c in column.levels]


def test_the_limits_match_the_settings(document: Json) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Instances"]["properties"]["instances"]["maxItems"] == 30
    assert schemas["InstancesToExplain"]["properties"]["instances"]["maxItems"] == 7
    (too_large,) = document["paths"]["/predict"]["post"]["responses"]["413"]["content"].values()
    ((example,),) = [list(too_large["examples"].values())]
    assert "at most 8388608 bytes" in example["value"]["error"]


def test_every_request_example_gets_a_described_response(app: Service, described: Json) -> None:
    n_sent = 0
    for method, path, operation in operations(described):
        for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
            for name, example in media.get("examples", {}).items():
                where = f"{method} {path}, {name}"
                assert validator(described, media["schema"]).is_valid(example["value"]), where
                response = app.test_client().open(
                    filled(path, operation),
                    method=method,
                    data=text_of(example["value"]),
                    content_type=media_type,
                )
                # An unsupported operation has only the error response.
                expected = [s for s in ("200", "501", "403") if s in operation["responses"]]
                assert response.status_code == int(expected[0]), where
                check(described, operation, response, where)
                n_sent += 1
    assert n_sent >= 5


def test_every_get_route_responds_as_described(app: Service, described: Json) -> None:
    for method, path, operation in operations(described):
        if method == "GET":
            response = app.test_client().get(filled(path, operation))
            assert response.status_code == 200, path
            check(described, operation, response, path)


def filled(path: str, operation: Json) -> str:
    """Return a path with a value for every placeholder."""
    for parameter in operation["parameters"]:
        if parameter.get("in") == "path":
            schema = parameter["schema"]
            value = (schema.get("enum") or schema.get("examples") or ["x"])[0]
            path = path.replace(f"{{{parameter['name']}}}", value)
    return path


def check(document: Json, operation: Json, response: TestResponse, where: str) -> None:
    """Check that the status, media type, headers and body of a response are described."""
    described = operation["responses"][str(response.status_code)]
    for name, reference in described["headers"].items():
        header = resolved(document, reference)
        assert not header["required"] or name in response.headers, where
        validator(document, header["schema"]).validate(response.headers[name])
    media = described["content"][response.mimetype]
    if "schema" in media:
        is_json = str(response.mimetype).endswith("json")
        content = response.get_json() if is_json else response.text
        validator(document, media["schema"]).validate(content)


def resolved(document: Json, part: Json) -> Json:
    for name in part.get("$ref", "#").split("/")[1:]:
        part = document[name] if part.get("$ref") else part[name]
    return part


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_every_response_example_matches_its_schema(described: Json) -> None:
    n_seen = 0
    for method, path, operation in operations(described):
        for status, content in operation["responses"].items():
            for media in content.get("content", {}).values():
                for name, example in media.get("examples", {}).items():
                    problems = validator(described, media["schema"]).iter_errors(example["value"])
                    assert not list(problems), f"{method} {path} {status} {name}"
                    n_seen += 1
    assert n_seen > 40


def test_every_error_example_is_a_real_response(app: Service, document: Json) -> None:
    """Send the request of ``x-request``; the response equals the example."""
    codes = set()
    for method, path, operation in operations(document):
        for status, described in operation["responses"].items():
            for media_type, media in described.get("content", {}).items():
                for name, example in media.get("examples", {}).items():
                    if "x-request" in example:
                        where = f"{method} {path} {status} {name}"
                        response = send(app.test_client(), method, path, example["x-request"])
                        content = response.get_json()
                        codes.add(content["type"].rpartition("/")[2])
                        if (path, response.status_code) == ("/explain", 501):
                            continue
                        assert response.status_code == int(status), where
                        assert response.mimetype == media_type, where
                        assert without_instance(content) == without_instance(example["value"])
                        check(document, operation, response, where)
    assert codes >= {
        *("empty_body", "not_utf8", "broken_json", "too_deep", "bad_request"),
        *("body_too_large", "unsupported_media_type", "invalid_records"),
    }


def send(client: FlaskClient, method: str, path: str, request: Json) -> TestResponse:
    body = request.get("text", "").encode()
    if "base64" in request:
        body = base64.b64decode(request["base64"])
    headers = dict(request.get("headers", {}))
    length = headers.pop("Content-Length", str(len(body)))
    return client.open(
        path,
        method=method,
        data=body,
        headers=headers,
        environ_overrides={"CONTENT_LENGTH": length},
    )


def test_errors_with_other_causes_than_the_body_are_described(
    trained: Store, tmp_path: Path, record: dict[str, Any]
) -> None:
    """No key, an unknown key, a missing scope, no model, an unknown problem type, a bug."""
    key, entry = new_entry("ward", ["monitor"])
    guarded = create_app(Settings(model_store=trained.folder, api_keys=entry))
    document = document_of(guarded)
    client = guarded.test_client()
    responses = [
        ("/predict", "post", client.post("/predict", json=record)),
        ("/predict", "post", client.post("/predict", json=record, headers={"X-API-Key": "none"})),
        ("/predict", "post", client.post("/predict", json=record, headers={"X-API-Key": key})),
        ("/model", "get", client.get("/model")),
        ("/problems/{code}", "get", client.get("/problems/none")),
    ]
    without = create_app(Settings(model_store=tmp_path / "none")).test_client()
    responses += [
        (path, "get", without.get(path)) for path in ("/readyz", "/model", "/openapi.json")
    ]
    responses += [("/predict", "post", without.post("/predict", json=record))]
    broken = create_app(Settings(model_store=trained.folder))
    broken.models.get = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    responses += [("/predict", "post", broken.test_client().post("/predict", json=record))]
    for path, method, response in responses:
        operation = document["paths"][path][method]
        where = f"{path}: {response.status_code}"
        check(document, operation, response, where)
        content = response.get_json()
        media = operation["responses"][str(response.status_code)]["content"][response.mimetype]
        examples = [example["value"] for example in media["examples"].values()]
        assert (content["type"], content["title"]) in [(e["type"], e["title"]) for e in examples]
        if response.status_code == 401:
            assert without_instance(content) in [without_instance(e) for e in examples]
    statuses = {response.status_code for *_, response in responses}
    assert statuses == {401, 403, 404, 500, 503}


def test_security_is_described_only_if_keys_are_configured(trained: Store, described: Json) -> None:
    assert "security" not in json.dumps(described["paths"])
    assert set(described["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    app = create_app(Settings(model_store=trained.folder, api_keys=new_entry("w", ["predict"])[1]))
    paths = document_of(app)["paths"] | protocol_document(app)["paths"]
    for route in app.routes:
        operation = paths[route.documented_path][route.method.lower()]
        if route.scope == PUBLIC:
            assert operation["security"] == []
            assert not {"401", "403"} & set(operation["responses"])
        elif route.scope == "manage":
            assert "403" in operation["responses"], "management is disabled"
            assert set(operation["responses"]) <= {"403", "404", "405"}
        else:
            scopes = [route.scope] if route.scope != "authenticated" else []
            assert operation["security"] == [{"bearer": scopes}, {"apiKey": scopes}]
            assert ("403" in operation["responses"]) is bool(scopes)
            assert "401" in operation["responses"]


def test_the_document_follows_the_loaded_version(store: Store) -> None:
    app = create_app(Settings(model_store=store.folder))
    assert document_of(app)["info"]["version"] == "1"
    other = LoadedModel(store, "1", app.metrics, max_records=30)
    manifest = msgspec.structs.replace(other.manifest, version="2", threshold=0.3)
    other.scorer.manifest = other.manifest = manifest
    other.version = "2"
    app.models.get = lambda *_: other  # type: ignore[method-assign]
    document = document_of(app)
    assert document["info"]["version"] == "2"
    threshold = document["components"]["schemas"]["Prediction"]["properties"]["threshold"]
    assert threshold["const"] == 0.3
    assert "from version 2 of cleveland" in app.test_client().get("/docs").text


def test_an_operation_follows_from_its_declaration(app: Service) -> None:
    router = Router(tag="Others", render_error=render_plainly)

    @router.route(
        "POST",
        "/others/<name>:<int:number>",
        scope=PUBLIC,
        placeholders={"name": {"enum": ["a"]}, "number": {"type": "integer"}},
        responses=lambda documented: {
            200: response_object(
                "An object.", object_(), example={"version": documented.model.version}
            )
        },
        errors=("invalid_records",),
    )
    def respond(service: Any, request: Any, name: str, number: int) -> ServiceResponse:
        """Return an object.

        It is ``empty``.
        """
        return ServiceResponse(b"{}")

    documented = DocumentedModel(app.models.get(), app.settings)
    schemas = document_of(app)["components"]["schemas"]
    document = build_document(documented, router.routes, app.keys, schemas)
    jsonschema.Draft202012Validator(OPENAPI_31).validate(document)
    assert document["tags"] == [{"name": "Others"}]
    operation = document["paths"]["/others/{name}:{number}"]["post"]
    assert (operation["summary"], operation["description"]) == ("Return an object.", "It is empty.")
    assert [p.get("schema") for p in operation["parameters"]] == [
        {"enum": ["a"]},
        {"type": "integer"},
        None,
    ]
    example = operation["responses"]["200"]["content"]["application/json"]["examples"]["example"]
    assert example["value"] == {"version": "1"}
    assert set(operation["responses"]) == {"200", "400", "404", "405", "500"}
    errors = operation["responses"]["400"]["content"]["text/plain"]["examples"]
    assert errors["absent_column"]["value"].startswith("row 0: thal is absent")
    assert "application/problem+json" in operation["responses"]["404"]["content"]
    assert set(document["components"]["schemas"]) == {"Problem", "RecordProblem"}


def render_plainly(error_response: ErrorResponse) -> ServiceResponse:
    status = 400 if error_response.status == 422 else error_response.status
    return ServiceResponse(error_response.error.encode(), status, "text/plain")


def test_every_problem_type_has_an_example(app: Service) -> None:
    by_code = error_examples(DocumentedModel(app.models.get(), app.settings))
    assert set(by_code) == set(PROBLEM_TYPES)
    for code, examples in by_code.items():
        assert {example.error_response.code for example in examples} == {code}


def test_a_version_without_optional_data_has_its_own_messages_as_examples(
    store: Store, artifact: Artifact
) -> None:
    remove_optional_files(artifact, "explanation.json", "inputs.json", "members.json")
    document = document_of(create_app(Settings(model_store=store.folder)))
    unsupported = document["paths"]["/predict"]["post"]["responses"]["501"]["content"]
    (media,) = unsupported.values()
    details = {name: example["value"]["detail"] for name, example in media["examples"].items()}
    assert details["version_without_explain"].startswith("version 1 was trained without")
    assert details["version_without_interval"].startswith("version 1 was trained without")
    assert "200" not in document["paths"]["/explain"]["post"]["responses"]
