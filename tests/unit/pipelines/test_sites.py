"""Files in the form of the sister sites' (Hungary, Switzerland, Long Beach), made of other patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.errors import InvalidTable
from model.schema import Schema
from pipelines.data import read_external_table
from tests.unit.pipelines.test_tables import HEADER, ROWS

NAMES = HEADER.split(",")
Rows = list[dict[str, str]]


def write(folder: Path, rows: Rows, *, header: bool = False) -> Path:
    """Write rows as UCI publishes them: without a header, ? for missing, unless told otherwise."""
    names = list(rows[0])
    lines = [",".join(row[name] or "?" for name in names) for row in rows]
    path = folder / "site.data"
    path.write_text("\n".join([",".join(names), *lines] if header else lines) + "\n")
    return path


def as_sister(n: int = 60) -> Rows:
    """As the sister sites' files are: ca, thal and slope hardly known, chol 0 or -9, fbs with gaps."""
    rows = [dict(row) for row in ROWS[:n]]
    for number, row in enumerate(rows):
        row["ca"] = row["thal"] = ""
        row["slope"] = row["slope"] if number % 3 == 0 else ""
        row["chol"] = {0: "0", 1: "-9", 2: row["chol"]}[number % 3]
        row["fbs"] = "-9" if number % 5 == 0 else row["fbs"]
    return rows


def test_a_sister_sites_file_is_read(schema: Schema, tmp_path: Path) -> None:
    external_data = read_external_table(write(tmp_path, as_sister()), schema)
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
    rows = [{n: v for n, v in row.items() if n not in ("ca", "thal")} for row in as_sister()]
    external_data = read_external_table(write(tmp_path, rows, header=True), schema)
    assert external_data.absent_columns == ("ca", "thal")
    assert external_data.missing["ca"] == external_data.missing["thal"] == 60
    assert external_data.table.values.shape == (60, 13)


@pytest.mark.parametrize("name", ["age", "sex", "cp"])
def test_a_column_that_must_be_known_may_not_be_absent(
    schema: Schema, tmp_path: Path, name: str
) -> None:
    rows = [{n: v for n, v in row.items() if n != name} for row in as_sister()]
    with pytest.raises(InvalidTable, match=f"column {name} is absent"):
        read_external_table(write(tmp_path, rows, header=True), schema)


def test_a_file_without_an_outcome_is_no_evaluation(schema: Schema, tmp_path: Path) -> None:
    rows = [{n: v for n, v in row.items() if n != "num"} for row in as_sister()]
    for header in (True, False):
        with pytest.raises(InvalidTable, match="the outcome column num is absent"):
            read_external_table(write(tmp_path, rows, header=header), schema)


def test_a_cell_that_cannot_be_counts_as_missing_and_is_told(
    schema: Schema, tmp_path: Path
) -> None:
    """Long Beach has a blood pressure of 0, Hungary a ca of 9."""
    rows = as_sister()
    rows[7]["trestbps"] = "0"
    rows[8]["ca"] = "9"
    external_data = read_external_table(write(tmp_path, rows), schema)
    assert external_data.invalid_cells == {"trestbps": 1, "ca": 1}
    assert external_data.missing["trestbps"] == 1 and external_data.missing["ca"] == 60
    assert len(external_data.table) == 60


def test_another_unit_is_refused(schema: Schema, tmp_path: Path) -> None:
    """Cholesterol in mmol/l: about a fortieth."""
    rows = [{**row, "chol": f"{float(row['chol']) / 38.67:.1f}"} for row in ROWS[:60]]
    with pytest.raises(InvalidTable, match=r"column chol: 60 of 60 known cells .* its unit"):
        read_external_table(write(tmp_path, rows), schema)


def test_one_in_twenty_may_be_impossible(schema: Schema, tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS[:60]]
    for row in rows[:3]:
        row["trestbps"] = "0"
    assert read_external_table(write(tmp_path, rows), schema).invalid_cells == {"trestbps": 3}
    rows[3]["trestbps"] = "0"
    with pytest.raises(
        InvalidTable, match=r"column trestbps: 4 of 60 .*\(allowed: 50 to 300 mm Hg\)"
    ):
        read_external_table(write(tmp_path, rows), schema)


def test_records_that_cannot_be_answered_or_judged_are_left_out_and_counted(
    schema: Schema, tmp_path: Path
) -> None:
    rows = as_sister()
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


def test_what_is_wrong_beyond_that_is_refused(schema: Schema, tmp_path: Path) -> None:
    rows = as_sister()
    rows[9]["num"] = "7"
    with pytest.raises(InvalidTable, match="line 10, column num: must be one of 0, 1, 2, 3, 4"):
        read_external_table(write(tmp_path, rows), schema)
    of_release = [{**row, "target": row["num"]} for row in as_sister()]
    for row in of_release:
        del row["num"]
    copied = write(tmp_path, of_release, header=True)
    with pytest.raises(InvalidTable, match="a different outcome"):
        read_external_table(copied, schema)
