"""The report as HTML: structure, numbers, escaping and disclosure."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import msgspec
import numpy as np

from model.artifacts import Manifest, Store
from model.calibration import CalibrationSelection
from model.evaluation import ModelComparison, ThresholdPerformance
from model.schema import Column, Schema
from model.schema.table_schema import Level
from pipelines.data import Table
from pipelines.report.blocks import with_interval
from pipelines.report.build import build_report
from pipelines.report.context import ReportContext

SECTIONS = (
    *("card", "data", "folds", "reliability", "decisions", "subgroups", "importance"),
    *("dependence", "learning", "optimism", "surface", "tripod", "reproduce"),
)
HOSTILE = '<script>alert("x")</script> & \'"\n$x^{ '
REFERRING = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background"}


class Parsed(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute))]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def of_table(
    context: ReportContext, table: Table, rows: np.ndarray | slice = slice(None)
) -> ReportContext:
    """Return the context for another table or some of its rows, with the same network."""
    selected = dataclasses.replace(
        table, values=table.values[rows], outcome=table.outcome[rows], lines=table.lines[rows]
    )
    return dataclasses.replace(
        context,
        table=selected,
        rows=np.arange(len(selected)),
        apparent=context.apparent[rows],
        out_of_fold=context.out_of_fold[:, rows],
    )


def test_the_navigation_links_to_every_section(page: str) -> None:
    parsed = Parsed(page)
    headings = [attributes.get("id") for tag, attributes in parsed.tags if tag == "h2"]
    assert [key for key in headings if key] == [*SECTIONS]
    links = [attributes["href"] for tag, attributes in parsed.tags if tag == "a"]
    assert links == [f"#{key}" for key in SECTIONS]
    assert parsed.open == []


def test_the_page_has_no_external_assets(page: str) -> None:
    parsed = Parsed(page)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    for attribute in REFERRING:
        assert all(value.startswith("#") for value in parsed.values(attribute)), attribute
    assert not re.findall(r"url\((?!#)|@import", page)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids)) > 100
    assert {value[1:] for value in parsed.values("href")} <= set(ids)


def test_a_report_is_small(page: str) -> None:
    assert len(page.encode()) < 700_000


def test_every_figure_has_an_alternative_text(page: str) -> None:
    svgs = [attributes for tag, attributes in Parsed(page).tags if tag == "svg"]
    # One hidden svg holds the glyphs that the figures share.
    figures = [attributes for attributes in svgs if attributes.get("aria-hidden") != "true"]
    assert len(figures) >= 11 and len(svgs) - len(figures) <= 1
    assert all(len(attributes.get("aria-label") or "") > 20 for attributes in figures)


def test_the_numbers_are_those_of_the_manifest(page: str, manifest: Manifest) -> None:
    text = Parsed(page).text
    folds = manifest.decode_metrics("folds", ModelComparison)
    for estimates in folds.estimates.values():
        for estimate in estimates.values():
            assert with_interval(estimate) in text
    for difference in folds.differences.values():
        assert with_interval(difference, sign="+") in text
    before = manifest.decode_metrics("calibration", CalibrationSelection).before
    assert with_interval(before.slope) in text
    assert with_interval(before.in_the_large, sign="+") in text
    performance = manifest.decode_metrics("threshold", ThresholdPerformance)
    for rate in ("sensitivity", "specificity", "ppv", "npv"):
        assert with_interval(getattr(performance, rate)) in text
    for count in ("true_positives", "false_negatives", "false_positives", "true_negatives"):
        assert with_interval(getattr(performance, count), 0) in text
    assert manifest.data.sha256 in text and manifest.schema_fingerprint in text


def test_the_group_of_all_records_has_the_metrics_of_the_folds(
    page: str, manifest: Manifest
) -> None:
    """Both are computed from the same probabilities and the same bootstrap samples."""
    folds = manifest.decode_metrics("folds", ModelComparison)
    performance = manifest.decode_metrics("threshold", ThresholdPerformance)
    row = re.search(r'<th scope="row">All records</th>(.*?)</tr>', page, re.DOTALL)
    assert row
    cells = re.findall(r"<td>(.*?)</td>", row[1])
    estimates = folds.estimates[folds.model]
    assert cells[0] == "303" and cells[1] == "139 (46 %)"
    assert cells[2:4] == [with_interval(estimates[name]) for name in ("auc", "log_loss")]
    assert cells[5:] == [
        with_interval(performance.sensitivity),
        with_interval(performance.specificity),
    ]


def test_the_texts_of_the_schema_are_shown_in_full(page: str, schema: Schema) -> None:
    text = Parsed(page).text
    for schema_text in (schema.description, schema.outcome.meaning, schema.outcome.caution):
        assert " ".join(schema_text.split()) in text
    assert "Not a medical device" in text
    for column in schema.columns:
        assert f"{column.title} ({column.name})" in text


def test_a_report_is_a_file_of_the_version(trained: Store, page: str) -> None:
    artifact = trained.read("1")
    assert artifact.manifest.files["report.html"].bytes == len(page.encode())
    assert "report.html" not in artifact.files, "a worker would hold it in memory"
    assert "version 1" in page


def hostile(schema: Schema) -> Schema:
    def spoil(column: Column) -> Column:
        levels = tuple(
            Level(code=level.code, label=f"{level.label} {HOSTILE}", name=level.name)
            for level in column.levels
        )
        changes = {"title": f"{column.title} {HOSTILE}", "help": HOSTILE, "levels": levels}
        return msgspec.structs.replace(column, unit=column.unit and HOSTILE, **changes)

    outcome = msgspec.structs.replace(
        schema.outcome, positive=HOSTILE, negative=f"no {HOSTILE}", meaning=HOSTILE, caution=HOSTILE
    )
    columns = tuple(spoil(column) for column in schema.columns)
    return msgspec.structs.replace(
        schema, title=HOSTILE, description=HOSTILE, outcome=outcome, columns=columns
    )


def test_texts_of_the_schema_are_escaped(context: ReportContext, schema: Schema, page: str) -> None:
    table = dataclasses.replace(context.table, schema=hostile(schema), file=HOSTILE)
    parsed = Parsed(build_report(of_table(context, table)).decode())
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert "alert(" in parsed.text
    assert {tag for tag, _ in parsed.tags} == {tag for tag, _ in Parsed(page).tags}


def marked(table: Table) -> Table:
    """Return the table with one unique cholesterol value in 100 of the positive records."""
    values = table.values.copy()
    index = table.schema.column_names.index("chol")
    values[np.flatnonzero(table.labels)[:100], index] = 417.625
    return dataclasses.replace(table, values=values)


def test_the_report_of_a_private_table_shows_no_value_of_a_record(context: ReportContext) -> None:
    table = marked(context.table)
    assert "417.6" in Parsed(build_report(of_table(context, table)).decode()).text
    private = of_table(context, dataclasses.replace(table, sha256="0" * 64))
    text = Parsed(build_report(private).decode()).text
    assert "417.6" not in text and "not shown" in text


def test_a_tiny_table_with_a_duplicate(context: ReportContext) -> None:
    positive, negative = (np.flatnonzero(context.table.labels == code) for code in (1, 0))
    rows = np.concatenate([positive[:12], negative[:12], positive[:1]])
    text = Parsed(build_report(of_table(context, context.table, rows)).decode()).text
    assert "1 of them repeat another record" in text
    assert "Age: 60 years and above" in text


def test_a_table_without_missing_values(context: ReportContext) -> None:
    complete = ~np.isnan(context.table.values).any(axis=1)
    page = build_report(of_table(context, context.table, complete)).decode()
    assert f"{complete.sum()} records" in page
    assert not re.search(r"<td>\d+ \(\d+\.\d %\)</td>", page), "a count of missing values"
