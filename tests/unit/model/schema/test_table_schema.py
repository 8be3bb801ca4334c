from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from model.errors import InvalidSchema
from model.schema import Column, Schema, Subgroups, load_schema
from model.schema.table_schema import Level
from tests.conftest import ROOT

# The features of design decision 1, repeated here so that the schema cannot change unnoticed.
FEATURES = (
    *("age", "trestbps", "chol", "thalach", "oldpeak", "slope"),
    *("sex=0", "sex=1", "cp=0", "cp=1", "cp=2", "cp=3", "cp=4", "fbs=0", "fbs=1"),
    *("restecg=0", "restecg=1", "restecg=2", "exang=0", "exang=1"),
    *("ca=0", "ca=1", "ca=2", "ca=3"),
    *("thal=normal", "thal=fixed", "thal=reversible", "thal=1", "thal=2"),
)


def test_the_29_features_have_the_published_names_and_order(schema: Schema) -> None:
    assert schema.feature_names == FEATURES


def test_a_schema_survives_a_round_trip_through_json(schema: Schema) -> None:
    decoded = Schema.from_json(schema.to_json())
    assert decoded == msgspec.structs.replace(schema, published=(), subgroups=())
    assert decoded.fingerprint == schema.fingerprint


def test_published_files_do_not_change_the_fingerprint(schema: Schema) -> None:
    """The schema names the checksum of the bundled file only."""
    bundled = (ROOT / "data/cleveland.csv").read_bytes()
    assert schema.published == (hashlib.sha256(bundled).hexdigest(),)
    unpublished = msgspec.structs.replace(schema, published=())
    assert unpublished.fingerprint == schema.fingerprint
    assert b"published" not in schema.to_json()


def test_subgroups_do_not_change_the_fingerprint(schema: Schema) -> None:
    assert schema.subgroups == (
        Subgroups(column="sex"),
        Subgroups(column="age", cuts=(50.0, 60.0)),
    )
    assert msgspec.structs.replace(schema, subgroups=()).fingerprint == schema.fingerprint
    assert b"subgroups" not in schema.to_json()


@pytest.mark.parametrize(
    ("subgroup", "reason"),
    [
        (Subgroups(column="sexe"), "there is no column sexe"),
        (Subgroups(column="sex", cuts=(0.5,)), "sex has levels, so it must not have cuts"),
        (Subgroups(column="age", cuts=(60.0, 50.0)), "the cuts of age are not in ascending order"),
    ],
)
def test_invalid_subgroups_are_rejected(schema: Schema, subgroup: Subgroups, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        msgspec.structs.replace(schema, subgroups=(subgroup,))


def test_a_changed_range_changes_the_fingerprint(schema: Schema) -> None:
    age = msgspec.structs.replace(schema.columns[0], maximum=119)
    changed = msgspec.structs.replace(schema, columns=(age, *schema.columns[1:]))
    assert changed.fingerprint != schema.fingerprint


def test_the_release_schema_differs_in_the_outcome_only(schema: Schema) -> None:
    release = load_schema(ROOT / "schemas/cleveland-release.toml")
    assert release.columns == schema.columns
    assert release.outcome.rule == "target > 0"
    assert schema.outcome.rule == "num > 0"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('kind = "number"', "kind"),
        ("minimum = 1\n", "minimum"),
        ("example = 54", "example"),
        ('name = "cleveland"', "name"),
        ("format = 1", "format"),
    ],
)
def test_a_schema_without_a_required_key_is_rejected(
    tmp_path: Path, change: str, reason: str
) -> None:
    text = (ROOT / "schemas/cleveland.toml").read_text()
    file = tmp_path / "broken.toml"
    file.write_text(text.replace(change, "", 1))
    with pytest.raises(InvalidSchema, match=reason):
        load_schema(file)


def test_an_unknown_key_is_rejected(tmp_path: Path) -> None:
    text = (ROOT / "schemas/cleveland.toml").read_text()
    file = tmp_path / "broken.toml"
    file.write_text(text.replace("minimum = 1\n", "minimun = 1\nminimum = 1\n", 1))
    with pytest.raises(InvalidSchema, match="minimun"):
        load_schema(file)


def test_missing_and_unreadable_schema_files_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidSchema, match="No such file"):
        load_schema(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("columns = [")
    with pytest.raises(InvalidSchema):
        load_schema(tmp_path / "bad.toml")
    with pytest.raises(InvalidSchema):
        Schema.from_json(b"\xff")


def test_two_levels_must_not_share_an_alias() -> None:
    levels = (
        Level(code=0, label="No", aliases=("no",)),
        Level(code=1, label="Yes", aliases=("NO",)),
    )
    with pytest.raises(ValueError, match="share a code or an alias"):
        Column(name="x", title="X", help="", kind="category", example=0, levels=levels)


def test_every_column_has_a_title_and_help(schema: Schema) -> None:
    for column in schema.columns:
        assert column.title and column.help.endswith(".")
        assert all(level.label for level in column.levels)
