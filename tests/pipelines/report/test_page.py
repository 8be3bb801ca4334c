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
    """What a browser would find: tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
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
        self.words.append(data)

    def values(self, attribute: str) -> list[str]:
        return [found for _, attrs in self.tags if (found := attrs.get(attribute))]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def of_table(
    context: ReportContext, table: Table, rows: np.ndarray | slice = slice(None)
) -> ReportContext:
    """The same network, as if it had been trained on another table or on some rows of it."""
    assert table.outcome is not None
    some = dataclasses.replace(
        table, values=table.values[rows], outcome=table.outcome[rows], lines=table.lines[rows]
    )
    return dataclasses.replace(
        context,
        table=some,
        rows=np.arange(len(some)),
        apparent=context.apparent[rows],
        out_of_fold=context.out_of_fold[:, rows],
    )


def test_every_section_is_there_and_can_be_reached(page: str) -> None:
    parsed = Parsed(page)
    assert [key for tag, a in parsed.tags if tag == "h2" and (key := a.get("id"))] == [*SECTIONS]
    links = [a["href"] for tag, a in parsed.tags if tag == "a"]
    assert links == [f"#{key}" for key in SECTIONS]
    assert parsed.open == []


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    parsed = Parsed(page)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    for attribute in REFERRING:
        assert all(value.startswith("#") for value in parsed.values(attribute)), attribute
    assert not re.findall(r"url\((?!#)|@import", page)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids)) > 100
    assert {value[1:] for value in parsed.values("href")} <= set(ids)


def test_a_report_is_small_enough_to_be_sent_around(page: str) -> None:
    assert len(page.encode()) < 700_000


def test_whoever_does_not_see_the_figures_is_told_what_they_show(page: str) -> None:
    drawn = [attrs for tag, attrs in Parsed(page).tags if tag == "svg"]
    figures = [attrs for attrs in drawn if attrs.get("aria-hidden") != "true"]  # the letters alone
    assert len(figures) >= 11 and len(drawn) - len(figures) <= 1
    assert all(len(attrs.get("aria-label") or "") > 20 for attrs in figures)


def test_the_numbers_are_those_of_the_manifest(page: str, manifest: Manifest) -> None:
    text = Parsed(page).text
    folds = msgspec.convert(manifest.metrics["folds"], ModelComparison)
    for figures in folds.estimates.values():
        for figure in figures.values():
            assert with_interval(figure) in text
    for figure in folds.differences.values():
        assert with_interval(figure, sign="+") in text
    before = msgspec.convert(manifest.metrics["calibration"], CalibrationSelection).before
    assert with_interval(before.slope) in text
    assert with_interval(before.in_the_large, sign="+") in text
    at = msgspec.convert(manifest.metrics["threshold"], ThresholdPerformance)
    for share in (at.sensitivity, at.specificity, at.ppv, at.npv):
        assert with_interval(share) in text
    for count in (at.true_positives, at.false_negatives, at.false_positives, at.true_negatives):
        assert with_interval(count, 0) in text
    assert manifest.data.sha256 in text and manifest.schema_fingerprint in text


def test_all_records_together_have_the_figures_of_the_folds(page: str, manifest: Manifest) -> None:
    """Computed a second time, from the same probabilities and the same draws of records."""
    folds = msgspec.convert(manifest.metrics["folds"], ModelComparison)
    at = msgspec.convert(manifest.metrics["threshold"], ThresholdPerformance)
    row = re.search(r'<th scope="row">All records</th>(.*?)</tr>', page, re.DOTALL)
    assert row
    cells = re.findall(r"<td>(.*?)</td>", row[1])
    own = folds.estimates[folds.model]
    assert cells[0] == "303" and cells[1] == "139 (46 %)"
    assert cells[2:4] == [with_interval(own["auc"]), with_interval(own["log_loss"])]
    assert cells[5:] == [with_interval(at.sensitivity), with_interval(at.specificity)]


def test_the_texts_of_the_schema_are_told_in_full(page: str, schema: Schema) -> None:
    text = Parsed(page).text
    for told in (schema.description, schema.outcome.meaning, schema.outcome.caution):
        assert " ".join(told.split()) in text
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


def test_no_text_of_a_schema_becomes_part_of_the_page(
    context: ReportContext, schema: Schema, page: str
) -> None:
    table = dataclasses.replace(context.table, schema=hostile(schema), file=HOSTILE)
    parsed = Parsed(build_report(of_table(context, table)).decode())
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert "alert(" in parsed.text
    assert {tag for tag, _ in parsed.tags} == {tag for tag, _ in Parsed(page).tags}


def marked(table: Table) -> Table:
    """A cholesterol that nobody else has, in most of the records with the outcome."""
    values = table.values.copy()
    place = table.schema.column_names.index("chol")
    values[np.flatnonzero(table.labels)[:100], place] = 417.625
    return dataclasses.replace(table, values=values)


def test_no_value_of_a_record_is_told_where_rows_must_not_leave(context: ReportContext) -> None:
    table = marked(context.table)
    assert "417.6" in Parsed(build_report(of_table(context, table)).decode()).text
    private = of_table(context, dataclasses.replace(table, sha256="0" * 64))
    told = Parsed(build_report(private).decode()).text
    assert "417.6" not in told and "not shown" in told
    assert "no record may show" in told


def test_a_tiny_table_with_a_copy_in_it(context: ReportContext) -> None:
    ill, healthy = (np.flatnonzero(context.table.labels == side) for side in (1, 0))
    rows = np.concatenate([ill[:12], healthy[:12], ill[:1]])
    told = Parsed(build_report(of_table(context, context.table, rows)).decode()).text
    assert "1 of them repeat another record" in told
    assert "Age: 60 years and above" in told


def test_a_table_without_missing_values(context: ReportContext) -> None:
    known = ~np.isnan(context.table.values).any(axis=1)
    page = build_report(of_table(context, context.table, known)).decode()
    assert f"{known.sum()} records" in page
    assert not re.search(r"<td>\d+ \(\d+\.\d %\)</td>", page), "a count of missing values"
