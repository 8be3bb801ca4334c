from __future__ import annotations

import csv
import decimal
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.errors import InvalidTable
from model.schema import Schema, load_schema
from pipelines.data import Table, read_table
from tests.conftest import ROOT

BUNDLED = (ROOT / "data/cleveland.csv").read_text()
HEADER, *LINES = BUNDLED.splitlines()
ROWS = [dict(zip(HEADER.split(","), line.split(","), strict=True)) for line in LINES]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(text: str, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


def as_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_uci() -> str:
    """Return the table in UCI's format: no header, trailing zeros, ? for missing."""

    def cell(name: str, text: str) -> str:
        return text or "?" if name == "num" or not text else f"{float(text):.1f}"

    return "".join(",".join(cell(n, t) for n, t in row.items()) + "\n" for row in ROWS)


def as_release(outcome: str = "target") -> str:
    """Return the table of the TensorFlow release: words for thal, num >= 2 as the target."""
    words = {"3": "normal", "6": "fixed", "7": "reversible", "": "normal"}
    rows = []
    for row in ROWS:
        changed = {**row, "thal": words[row["thal"]], "ca": row["ca"] or "0"}
        changed[outcome] = str(int(int(changed.pop("num")) >= 2))
        rows.append(changed)
    rows[0] |= {"cp": "0", "thal": "1"}  # some of its rows come from a recoded copy
    return as_csv(rows)


def renumbered() -> list[dict[str, str]]:
    """Return the copy in circulation with renumbered codes and an inverted target."""
    maps = {
        "cp": {"1": "3", "2": "1", "3": "2", "4": "0"},
        "restecg": {"0": "1", "1": "1", "2": "0"},
        "slope": {"1": "2", "2": "1", "3": "0"},
        "thal": {"3": "2", "6": "1", "7": "3", "": "0"},
    }
    rows = []
    for row in ROWS:
        changed = {name: maps.get(name, {}).get(text, text) for name, text in row.items()}
        changed["ca"] = changed["ca"] or "4"
        changed["target"] = str(int(changed.pop("num") == "0"))
        rows.append(changed)
    return rows


def test_the_bundled_table(table: Table) -> None:
    assert len(table) == 303
    counts = np.unique(table.outcome, return_counts=True)[1]
    assert counts.tolist() == [164, 55, 36, 35, 13]
    assert table.labels.sum() == 139
    missing = dict(zip(table.frame, np.isnan(table.values).sum(axis=0), strict=True))
    assert {name: n for name, n in missing.items() if n} == {"ca": 4, "thal": 2}
    assert np.unique(table.values[:, 1], return_counts=True)[1].tolist() == [97, 206]
    assert table.warnings == ()


def test_the_uci_format_is_the_same_table(table: Table, schema: Schema, write: Write) -> None:
    raw = read_table(write(as_uci(), "processed.cleveland.data"), schema)
    np.testing.assert_array_equal(raw.values, table.values)
    np.testing.assert_array_equal(raw.labels, table.labels)
    assert raw.lines[0] == 1


def test_parquet_is_the_same_table(table: Table, schema: Schema, tmp_path: Path) -> None:
    frame = pd.read_csv(ROOT / "data/cleveland.csv")
    frame["thal"] = frame["thal"].map({3: "normal", 6: "fixed", 7: "Reversible"})
    frame.to_parquet(tmp_path / "table.parquet")
    parquet = read_table(tmp_path / "table.parquet", schema)
    np.testing.assert_array_equal(parquet.values, table.values)
    np.testing.assert_array_equal(parquet.labels, table.labels)


def test_the_release_is_read_with_its_own_schema_only(
    table: Table, schema: Schema, write: Write
) -> None:
    file = write(as_release(), "heart.csv")
    with pytest.raises(InvalidTable, match=r"means num >= 2"):
        read_table(file, schema)
    release = load_schema(ROOT / "schemas/cleveland-release.toml")
    released = read_table(file, release)
    assert released.labels.sum() == 84
    assert released.values[0, [2, 12]].tolist() == [0, 1]
    known = ~np.isnan(table.values[1:]).any(axis=1)
    np.testing.assert_array_equal(released.values[1:][known], table.values[1:][known])
    with pytest.raises(InvalidTable, match=r"SCHEMA=schemas/cleveland\.toml"):
        read_table(ROOT / "data/cleveland.csv", release)


def test_the_copies_in_circulation_are_rejected_with_the_reason(
    schema: Schema, write: Write
) -> None:
    copy = renumbered()
    with pytest.raises(InvalidTable, match="inverted target"):
        read_table(write(as_csv(copy)), schema)
    repeated = (copy[:302] * 4)[:1025]
    with pytest.raises(InvalidTable, match="1,025 rows: it repeats 302 patients"):
        read_table(write(as_csv(repeated)), schema)


def test_every_invalid_cell_is_reported_by_line_and_column(schema: Schema, write: Write) -> None:
    rows = [dict(row) for row in ROWS[:6]]
    rows[0]["age"] = "abc"
    rows[2] |= {"chol": "5000", "num": "7"}
    rows[4] |= {"sex": "", "thal": "fixd", "slope": "1.5", "oldpeak": "inf"}
    with pytest.raises(InvalidTable) as caught:
        read_table(write(as_csv(rows)), schema)
    assert sorted(caught.value.problems) == [
        "line 2, column age: must be a number, not a string",
        "line 4, column chol: must be between 50 and 1000 mg/dl",
        "line 4, column num: must be one of 0, 1, 2, 3, 4",
        "line 6, column oldpeak: must be a finite number",
        "line 6, column sex: is required and must not be missing",
        "line 6, column slope: must be one of 1, 2, 3, upsloping, flat, downsloping",
        "line 6, column thal: must be one of 3, 6, 7, 1, 2, normal, fixed, reversible; "
        "did you mean fixed?",
    ]
    assert "abc" not in str(caught.value)


def test_missing_codes_of_the_other_sites(schema: Schema, write: Write) -> None:
    rows = [dict(row) for row in ROWS[:3]]
    rows[0] |= {"chol": "0", "thal": "-9", "ca": "?"}
    rows[1] |= {"chol": "0.0", "thal": "-9.0"}
    values = read_table(write(as_csv(rows)), schema).values
    assert np.isnan(values[:, [4, 11, 12]]).tolist() == [
        [True, True, True],
        [True, False, True],
        [False, False, False],
    ]


def test_copies_are_grouped_with_a_warning(schema: Schema, write: Write) -> None:
    copied = read_table(write(as_csv([*ROWS[:20], ROWS[3], ROWS[3]])), schema)
    assert copied.warnings == ("2 of 22 records are copies of another; no split separates copies",)
    assert copied.groups[20] == copied.groups[21] == copied.groups[3]
    assert len(set(copied.groups)) == 20


def test_copies_with_a_different_outcome_give_a_warning(schema: Schema, write: Write) -> None:
    other = {**ROWS[3], "num": "4" if ROWS[3]["num"] == "0" else "0"}
    copied = read_table(write(as_csv([*ROWS[:20], other])), schema)
    assert copied.warnings[1] == "the outcome differs from the first copy in 1 of them"


def test_no_row_is_dropped_silently(schema: Schema, write: Write) -> None:
    """Blank lines are ignored; a line of commas is a record without values."""
    lines = [HEADER, *LINES[:2], "", "  ", "," * 13, LINES[2]]
    with pytest.raises(InvalidTable) as caught:
        read_table(write("\r\n".join(lines)), schema)
    assert {problem.split(",")[0] for problem in caught.value.problems} == {"line 6"}
    assert len(read_table(write("\n".join([*lines[:5], LINES[2]])), schema)) == 3


def test_invalid_cells_and_lines_are_reported_together(schema: Schema, write: Write) -> None:
    lines = [HEADER, LINES[0].replace("63,", "abc,", 1), LINES[1] + ",1"]
    with pytest.raises(InvalidTable) as caught:
        read_table(write("\n".join(lines)), schema)
    assert caught.value.problems == [
        "line 3: 15 cells, expected 14",
        "line 2, column age: must be a number, not a string",
    ]


def test_parquet_types(table: Table, schema: Schema, tmp_path: Path) -> None:
    frame = pd.read_csv(ROOT / "data/cleveland.csv")
    frame["ca"] = frame["ca"].astype("Int64")
    frame["thal"] = frame["thal"].map({3: "normal", 6: "fixed", 7: "reversible"}).astype("category")
    frame["oldpeak"] = [decimal.Decimal(str(x)) for x in frame["oldpeak"]]
    frame = frame.rename(columns={"chol": "CHOL"}).set_index("age")
    frame.to_parquet(tmp_path / "table.PQ")
    parquet = read_table(tmp_path / "table.PQ", schema)
    np.testing.assert_array_equal(parquet.values, table.values)
    frame["num"] = [[1]] * 303
    frame["fbs"] = frame["fbs"] == 1
    frame.to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(InvalidTable) as caught:
        read_table(tmp_path / "odd.parquet", schema)
    assert len(caught.value.problems) == 606
    assert "row 1, column fbs: must be a level, not a boolean: 0, 1, no, yes" in str(caught.value)


def test_missing_values_are_equal_in_groups(schema: Schema, write: Write) -> None:
    row = {**ROWS[0], "ca": ""}
    groups = read_table(write(as_csv([row, row, ROWS[0]])), schema).groups
    assert groups[0] == groups[1] != groups[2]


def test_columns_in_any_order_and_case_and_unknown_ones_ignored(
    table: Table, schema: Schema, write: Write
) -> None:
    rows = [
        {"Patient": i, **{k.upper(): v for k, v in reversed(r.items())}} for i, r in enumerate(ROWS)
    ]
    reordered = read_table(write("\ufeff" + as_csv(rows)), schema)
    np.testing.assert_array_equal(reordered.values, table.values)
    assert reordered.warnings == ("column Patient is not in the schema and is ignored",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        (HEADER + "\n", "has no records"),
        (HEADER.replace("thal,", "thall,") + "\n" + LINES[0], "column thal is absent; is it thall"),
        (HEADER.replace(",num", "") + "\n" + LINES[0][:-2], "the outcome column num is absent"),
        (HEADER.replace("sex", "age") + "\n" + LINES[0], "column age is repeated"),
        (HEADER + "\n" + LINES[1] + ",1\n1,2", r"line 2: 15 cells, .*\n.*line 3: 2"),
        ("a,b\n1,2\n", "line 1 is neither a record nor a header with columns of age, sex"),
        (LINES[0].replace(",6,", ",fixed,") + "\n" + LINES[1], "line 1 is neither a record"),
        ("1,2,3\n4,5,6\n", "without a header must have 14 columns in the order age, sex"),
    ],
)
def test_invalid_files(schema: Schema, write: Write, text: str, reason: str) -> None:
    with pytest.raises(InvalidTable, match=reason):
        read_table(write(text), schema)


def test_unreadable_files(schema: Schema, tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="No such file"):
        read_table(tmp_path / "none.csv", schema)
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\n63,\xe9")
    with pytest.raises(InvalidTable, match="line 2: not UTF-8"):
        read_table(tmp_path / "latin.csv", schema)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidTable, match="not a Parquet file"):
        read_table(tmp_path / "bad.parquet", schema)
