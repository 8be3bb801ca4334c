"""The documentation pages: complete without scripts, and without external assets."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from app import Service, Settings, create_app
from app.api_keys import new_entry
from app.protocols import PROTOCOLS
from app.routing import ForeignProtocol
from model.artifacts import Store
from model.schema import Schema

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Reader(HTMLParser):
    """A parser that collects the links, IDs, headings and open tags of a page."""

    VOID = ("meta", "link", "br", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.open: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.links += [
            str(attributes[name]) for name in ("href", "src", "action") if name in attributes
        ]
        self.ids += [str(attributes["id"])] if "id" in attributes else []
        self.inline += [name for name in attributes if name.startswith("on") or name == "style"]
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(client: FlaskClient) -> str:
    response = client.get("/docs")
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    return response.text


def test_it_shows_every_column_and_every_operation(
    page: str, client: FlaskClient, schema: Schema
) -> None:
    for column in schema.columns:
        assert f"<code>{column.name}</code>" in page and column.help.replace("'", "&#39;") in page
        for level in column.levels:
            assert level.label.replace("'", "&#39;").lower() in page.lower()
    assert "50 to 300 mm Hg" in page
    for path, item in client.get("/openapi.json").get_json()["paths"].items():
        for operation in item.values():
            assert f"<code>{path}</code>" in page
            assert f'<article id="{operation["operationId"]}">' in page
    assert "Not a medical device" in page


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{p.slug}" for p in PROTOCOLS)])
def test_it_is_well_formed_and_every_link_leads_somewhere(path: str, client: FlaskClient) -> None:
    reader = Reader(client.get(path).text)
    specifications = [url for p in PROTOCOLS for url in p.specifications.values()]
    assert not reader.open
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.headings[0] == 1 and reader.headings.count(1) == 1
    for before, after in zip(reader.headings, reader.headings[1:], strict=False):
        assert after <= before + 1, "the headings skip a level"
    for link in reader.links:
        if link.startswith("#"):
            assert link[1:] in reader.ids
        elif link != "data:," and link not in specifications:
            assert re.match(r"/\w", link), f"{link} is external"
            assert client.get(link).status_code == 200


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{p.slug}" for p in PROTOCOLS)])
def test_the_page_loads_nothing_external(path: str, client: FlaskClient) -> None:
    response = client.get(path)
    page, policy = response.text, response.headers.get_all("Content-Security-Policy")
    assert len(policy) == 1
    for rule in (
        *("default-src 'none'", "style-src 'self'", "script-src 'self'", "connect-src 'self'"),
        *("img-src 'self' data:", "frame-ancestors 'none'"),
    ):
        assert rule in policy[0].split("; ")
    reader = Reader(page)
    assert not reader.inline, "the policy forbids inline scripts and styles"
    assert "<style" not in page and re.findall(r"<script(?! src=)", page) == []
    for file, media_type in (("page.css", "text/css"), ("try.js", "text/javascript")):
        response = client.get(f"/docs/{file}")
        assert response.mimetype == media_type
        assert "//" not in re.sub(r"^//.*", "", response.text, flags=re.M)
        assert "url(" not in response.text and "@import" not in response.text


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.slug)
def test_a_protocol_has_a_page_with_its_routes_and_a_working_example(
    app_of_module: Service, client: FlaskClient, page: str, protocol: ForeignProtocol
) -> None:
    path = f"/docs/{protocol.slug}"
    assert f'<a href="{path}">{protocol.name}</a>' in page
    response = client.get(path)
    assert response.status_code == 200
    text = html.unescape(response.text)
    for url in protocol.specifications.values():
        assert f'href="{url}"' in text
    assert protocol.differences in text
    routes = [route for route in app_of_module.routes if route.protocol is protocol]
    for route in routes:
        assert f"{route.method}</span> <code>{route.documented_path}</code>" in text
        assert route.summary in text
        assert f"<code>{route.documented_path}</code>" not in page, (
            "its own specification describes it"
        )
    assert len(routes) >= 5
    url, body = re.findall(r"curl http://localhost(\S+).*?-d '(.*?)'</code>", text, re.S)[0]
    response = client.post(url, data=body, content_type="application/json")
    assert response.status_code == 200, response.text


def test_the_page_of_a_protocol_shows_the_scope_of_each_route(client: FlaskClient) -> None:
    text = client.get("/docs/open-inference").text
    keys = dict(re.findall(r"<code>(/v2[^<]*)</code></th>.*?Key: </span>(\w+)</td>", text, re.S))
    assert keys["/v2"] == "any" and keys["/v2/health/ready"] == "none"
    assert keys["/v2/models/{name}/versions/{version}/infer"] == "predict"
    assert keys["/v2/repository/models/{name}/unload"] == "manage"


def test_there_is_no_page_of_an_unknown_protocol(client: FlaskClient) -> None:
    response = client.get("/docs/<script>1<")
    assert response.status_code == 404 and response.mimetype == "text/html"
    assert "<script>1" not in response.text and "there is no page" in response.text


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{p.slug}" for p in PROTOCOLS)])
def test_texts_of_the_schema_and_the_host_are_escaped(trained: Store, path: str) -> None:
    app = create_app(Settings(model_store=trained.folder))
    client, model = app.test_client(), app.models.get()
    response = client.get(path, headers={"Host": "x</pre><script>1</script>"})
    assert "<script>1" not in response.text
    marked = "</p><script>1</script>'"
    outcome = msgspec.structs.replace(model.schema.outcome, meaning=marked, positive=marked)
    age = msgspec.structs.replace(
        model.schema.columns[0], name=marked, title=marked, help=marked, unit=marked
    )
    columns = (age, *model.schema.columns[1:])
    model.schema = msgspec.structs.replace(
        model.schema, title=marked, outcome=outcome, columns=columns
    )
    again = create_app(Settings(model_store=trained.folder))
    again.models.get = lambda *_: model  # type: ignore[method-assign]
    model.name = marked
    text = again.test_client().get(path).text
    assert "&lt;script&gt;1" in text and "<script>1" not in text


def test_the_page_asks_for_a_key_if_keys_are_configured(trained: Store, page: str) -> None:
    assert "try-key" not in page and "KEY" not in page
    entry = new_entry("w", ["predict"])[1]
    guarded = create_app(Settings(model_store=trained.folder, api_keys=entry))
    text = guarded.test_client().get("/docs").text
    assert 'id="try-key"' in text and "-H &#39;X-API-Key: KEY&#39;" not in text
    assert "-H 'X-API-Key: KEY'" in text
    assert "-H 'X-API-Key: KEY'" in guarded.test_client().get("/docs/mlflow").text
    assert "This route requires an API key with the scope predict." in text


@pytest.mark.parametrize("path", ["/docs", "/docs/mlflow"])
def test_without_a_model_the_page_gives_the_reason(tmp_path: Path, path: str) -> None:
    response = create_app(Settings(model_store=tmp_path / "none")).test_client().get(path)
    assert response.status_code == 503
    assert response.mimetype == "text/html"
    assert "no version is current yet" in response.text
    assert not Reader(response.text).open


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("*/*", 200),
        ("application/json", 200),
        ("image/png", 200),
        (BROWSER, 302),
        ("text/html;q=0.5, application/json", 200),
        ("text/html", 302),
    ],
)
def test_the_root_redirects_browsers_only(
    client: FlaskClient, accept: str | None, status: int
) -> None:
    headers: dict[str, Any] = {"Accept": accept} if accept else {}
    response = client.get("/", headers=headers)
    assert response.status_code == status
    assert response.headers["Vary"] == "Accept"
    if status == 200:
        assert response.get_json() == {"status": "alive"}
    else:
        assert response.headers["Location"] == "/docs"
