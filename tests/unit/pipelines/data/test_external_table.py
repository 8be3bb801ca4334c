"""Tests of external tables, on files like those of Hungary, Switzerland and Long Beach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.errors import InvalidTable
from model.schema import Schema
from pipelines.data import read_external_table
from tests.unit.pipelines.data.test_table import HEADER, ROWS

NAMES = HEADER.split(",")
Rows = list[dict[str, str]]


def write(folder: Path, rows: Rows, *, header: bool = False) -> Path:
    """Write rows in UCI's format: ? for missing, and by default without a header."""
    names = list(rows[0])
    lines = [",".join(row[name] or "?" for name in names) for row in rows]
    path = folder / "site.data"
    path.write_text("\n".join([",".join(names), *lines] if header else lines) + "\n")
    return path


def like_other_sites(n: int = 60) -> Rows:
    """Return rows like those of the other sites: ca, thal, slope, chol and fbs mostly missing."""
    rows = [dict(row) for row in ROWS[:n]]
    for number, row in enumerate(rows):
        row["ca"] = row["thal"] = ""
        row["slope"] = row["slope"] if number % 3 == 0 else ""
        row["chol"] = {0: "0", 1: "-9", 2: row["chol"]}[number % 3]
        row["fbs"] = "-9" if number % 5 == 0 else row["fbs"]
    return rows


def test_the_file_of_another_site_is_read(schema: Schema, tmp_path: Path) -> None:
    external_data = read_external_table(write(tmp_path, like_other_sites()), schema)
    assert external_data.n_read == len(external_data.table) == 60
    assert external_data.missing == {"chol": 40, "fbs": 12, "slope": 40, "ca": 60, "thal": 60}
    assert (external_data.absent_columns, external_data.invalid_cells, external_data.left_out) == (
        (),
        {},
        {},
    )
    assert external_data.table.labels.tolist() == [int(row["num"] != "0") for row in ROWS[:60]]
    chol = external_data.table.values[:, NAMES.index("chol")]
    assert chol[2] == float(ROWS[2]["chol"]) and np.isnan(chol[:2]).all()


def test_whole_columns_may_be_absent(schema: Schema, tmp_path: Path) -> None:
    rows = [{n: v for n, v in row.items() if n not in ("ca", "thal")} for row in like_other_sites()]
    external_data = read_external_table(write(tmp_path, rows, header=True), schema)
    assert external_data.absent_columns == ("ca", "thal")
    assert external_data.missing["ca"] == external_data.missing["thal"] == 60
    assert external_data.table.values.shape == (60, 13)


@pytest.mark.parametrize("name", ["age", "sex", "cp"])
def test_a_required_column_must_not_be_absent(schema: Schema, tmp_path: Path, name: str) -> None:
    rows = [{n: v for n, v in row.items() if n != name} for row in like_other_sites()]
    with pytest.raises(InvalidTable, match=f"column {name} is absent"):
        read_external_table(write(tmp_path, rows, header=True), schema)


def test_a_file_without_an_outcome_is_rejected(schema: Schema, tmp_path: Path) -> None:
    rows = [{n: v for n, v in row.items() if n != "num"} for row in like_other_sites()]
    for header in (True, False):
        with pytest.raises(InvalidTable, match="the outcome column num is absent"):
            read_external_table(write(tmp_path, rows, header=header), schema)


def test_an_impossible_value_is_treated_as_missing_and_counted(
    schema: Schema, tmp_path: Path
) -> None:
    """Long Beach has a blood pressure of 0, Hungary a ca of 9."""
    rows = like_other_sites()
    rows[7]["trestbps"] = "0"
    rows[8]["ca"] = "9"
    external_data = read_external_table(write(tmp_path, rows), schema)
    assert external_data.invalid_cells == {"trestbps": 1, "ca": 1}
    assert external_data.missing["trestbps"] == 1 and external_data.missing["ca"] == 60
    assert len(external_data.table) == 60


def test_a_column_in_another_unit_is_rejected(schema: Schema, tmp_path: Path) -> None:
    """Cholesterol in mmol/l is 38.67 times smaller than in mg/dl."""
    rows = [{**row, "chol": f"{float(row['chol']) / 38.67:.1f}"} for row in ROWS[:60]]
    with pytest.raises(InvalidTable, match=r"column chol: 60 of 60 known cells .* its unit"):
        read_external_table(write(tmp_path, rows), schema)


def test_up_to_five_percent_of_the_cells_may_be_impossible(schema: Schema, tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS[:60]]
    for row in rows[:3]:
        row["trestbps"] = "0"
    assert read_external_table(write(tmp_path, rows), schema).invalid_cells == {"trestbps": 3}
    rows[3]["trestbps"] = "0"
    with pytest.raises(
        InvalidTable, match=r"column trestbps: 4 of 60 .*\(allowed: 50 to 300 mm Hg\)"
    ):
        read_external_table(write(tmp_path, rows), schema)


def test_unusable_records_are_excluded_and_counted(schema: Schema, tmp_path: Path) -> None:
    rows = like_other_sites()
    rows[3]["age"] = ""
    rows[4]["num"] = ""
    rows[5]["cp"] = "9"
    rows[6]["num"], rows[6]["age"] = "-9", ""
    external_data = read_external_table(write(tmp_path, rows), schema)
    assert external_data.left_out == {"age": 2, "cp": 1, "num": 2}
    assert (external_data.n_read, len(external_data.table)) == (60, 56)
    assert external_data.table.lines.tolist() == [1, 2, 3, *range(8, 61)]
    with pytest.raises(InvalidTable, match="no record has every required value"):
        read_external_table(write(tmp_path, [{**row, "num": ""} for row in rows]), schema)


def test_other_problems_are_rejected(schema: Schema, tmp_path: Path) -> None:
    rows = like_other_sites()
    rows[9]["num"] = "7"
    with pytest.raises(InvalidTable, match="line 10, column num: must be one of 0, 1, 2, 3, 4"):
        read_external_table(write(tmp_path, rows), schema)
    release_rows = [{**row, "target": row["num"]} for row in like_other_sites()]
    for row in release_rows:
        del row["num"]
    path = write(tmp_path, release_rows, header=True)
    with pytest.raises(InvalidTable, match="a different outcome"):
        read_external_table(path, schema)
