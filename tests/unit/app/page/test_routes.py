"""The documentation page: complete without scripts, and without external assets."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from app import Settings, create_app
from app.api_keys import new_entry
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


def test_it_is_well_formed_and_every_link_leads_somewhere(page: str, client: FlaskClient) -> None:
    reader = Reader(page)
    assert not reader.open
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.headings[0] == 1 and reader.headings.count(1) == 1
    for before, after in zip(reader.headings, reader.headings[1:], strict=False):
        assert after <= before + 1, "the headings skip a level"
    for link in reader.links:
        if link.startswith("#"):
            assert link[1:] in reader.ids
        elif link != "data:,":
            assert re.match(r"/\w", link), f"{link} is external"
            assert client.get(link).status_code == 200


def test_the_page_loads_nothing_external(page: str, client: FlaskClient) -> None:
    policy = client.get("/docs").headers.get_all("Content-Security-Policy")
    assert len(policy) == 1
    for rule in (
        *("default-src 'none'", "style-src 'self'", "script-src 'self'", "connect-src 'self'"),
        *("img-src 'self' data:", "frame-ancestors 'none'"),
    ):
        assert rule in policy[0].split("; ")
    reader = Reader(page)
    assert not reader.inline, "the policy forbids inline scripts and styles"
    assert "<style" not in page and re.findall(r"<script(?! src=)", page) == []
    for path, media_type in (("/docs/page.css", "text/css"), ("/docs/try.js", "text/javascript")):
        response = client.get(path)
        assert response.mimetype == media_type
        assert "//" not in re.sub(r"^//.*", "", response.text, flags=re.M)
        assert "url(" not in response.text and "@import" not in response.text


def test_texts_of_the_schema_and_the_host_are_escaped(trained: Store) -> None:
    app = create_app(Settings(model_store=trained.folder))
    client, model = app.test_client(), app.models.get()
    response = client.get("/docs", headers={"Host": "x</pre><script>1</script>"})
    assert "<script>1" not in response.text
    marked = "</p><script>1</script>'"
    outcome = msgspec.structs.replace(model.schema.outcome, meaning=marked, positive=marked)
    age = msgspec.structs.replace(model.schema.columns[0], title=marked, help=marked, unit=marked)
    columns = (age, *model.schema.columns[1:])
    model.schema = msgspec.structs.replace(
        model.schema, title=marked, outcome=outcome, columns=columns
    )
    again = create_app(Settings(model_store=trained.folder))
    again.models.get = lambda *_: model  # type: ignore[method-assign]
    text = again.test_client().get("/docs").text
    assert "&lt;script&gt;1" in text and "<script>1" not in text


def test_the_page_asks_for_a_key_if_keys_are_configured(trained: Store, page: str) -> None:
    assert "try-key" not in page and "KEY" not in page
    entry = new_entry("w", ["predict"])[1]
    guarded = create_app(Settings(model_store=trained.folder, api_keys=entry))
    text = guarded.test_client().get("/docs").text
    assert 'id="try-key"' in text and "-H &#39;X-API-Key: KEY&#39;" not in text
    assert "-H 'X-API-Key: KEY'" in text
    assert "This route requires an API key with the scope predict." in text


def test_without_a_model_the_page_gives_the_reason(tmp_path: Path) -> None:
    response = create_app(Settings(model_store=tmp_path / "none")).test_client().get("/docs")
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
