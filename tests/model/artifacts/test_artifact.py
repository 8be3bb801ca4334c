from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from model.artifacts import MANIFEST_FILE, Artifact
from model.artifacts.artifact import (
    FILES,
    add_attachment,
    add_metrics,
    read_artifact,
    write_artifact,
)
from model.artifacts.manifest import encode_manifest, with_checksum
from model.errors import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactIncomplete,
    ArtifactTooNew,
    GoldenRowsDiffer,
    SchemaMismatch,
)
from model.inference import Scorer
from model.schema import Schema
from tests.conftest import ROOT


def rewrite_manifest(artifact: Artifact, **changes: Any) -> None:
    """Change the manifest and its checksum."""
    manifest = with_checksum(msgspec.structs.replace(artifact.manifest, **changes))
    (artifact.folder / MANIFEST_FILE).write_bytes(encode_manifest(manifest))


def replace(artifact: Artifact, name: str, data: bytes) -> None:
    """Replace a file and its checksum."""
    folder = artifact.folder
    shutil.rmtree(folder)
    write_artifact(folder, artifact.manifest, {**artifact.files, name: data})


def test_a_written_artifact_can_be_read(artifact: Artifact, tmp_path: Path) -> None:
    written = write_artifact(tmp_path / "7", artifact.manifest, artifact.files)
    without_report = {name: artifact.manifest.files[name] for name in FILES}
    assert written.manifest == with_checksum(
        msgspec.structs.replace(artifact.manifest, files=without_report)
    )
    assert written.files == artifact.files
    assert written.schema == artifact.schema
    assert sorted(path.name for path in (tmp_path / "7").iterdir()) == sorted(
        [*FILES, MANIFEST_FILE]
    )


def test_an_attachment_is_added_once_and_verified_but_not_kept_in_memory(
    artifact: Artifact, tmp_path: Path
) -> None:
    bare = write_artifact(tmp_path / "7", artifact.manifest, artifact.files)
    (bare.folder / "report.html").write_bytes(b"from a killed writer")
    assert read_artifact(bare.folder).manifest == bare.manifest
    added = add_attachment(bare, "report.html", b"<p>first")
    assert added.files == bare.files and added.manifest.files["report.html"].bytes == 8
    assert read_artifact(bare.folder).manifest == added.manifest
    with pytest.raises(FileExistsError):
        add_attachment(added, "report.html", b"<p>second")
    with pytest.raises(ValueError, match=r"expected one of report\.html; received model\.onnx"):
        add_attachment(added, "model.onnx", b"")
    assert (bare.folder / "report.html").read_bytes() == b"<p>first"
    (bare.folder / "report.html").write_bytes(b"<p>wrong")
    with pytest.raises(ArtifactDamaged, match=r"report\.html does not match its checksum"):
        read_artifact(bare.folder)
    (bare.folder / "report.html").unlink()
    with pytest.raises(ArtifactIncomplete, match=r"report\.html is missing"):
        read_artifact(bare.folder)


def test_the_manifest_describes_the_training(artifact: Artifact, schema: Schema) -> None:
    manifest = artifact.manifest
    assert manifest.schema_fingerprint == schema.fingerprint
    assert (manifest.data.rows, manifest.data.positives) == (303, 139)
    assert manifest.training["hidden"] == [16]
    assert manifest.ranges["age"].minimum == 29
    assert manifest.ranges["thal"].codes == (3, 6, 7)
    assert manifest.ranges["ca"].missing == 4
    assert 0 <= manifest.parity <= 1e-6
    assert manifest.libraries["keras backend"] == "tensorflow"
    assert {"keras", "tensorflow", "scikit-learn", "python"} <= set(manifest.libraries)


@pytest.mark.parametrize("name", [*FILES, MANIFEST_FILE])
def test_a_missing_file(artifact: Artifact, name: str) -> None:
    (artifact.folder / name).unlink()
    with pytest.raises(ArtifactIncomplete, match=f"version 1: {name} is missing"):
        read_artifact(artifact.folder)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte(artifact: Artifact, name: str) -> None:
    data = bytearray(artifact.files[name])
    data[len(data) // 2] ^= 1
    (artifact.folder / name).write_bytes(data)
    with pytest.raises(ArtifactDamaged, match=f"version 1: {name} does not match"):
        read_artifact(artifact.folder)


def test_a_flipped_byte_anywhere_in_the_manifest(artifact: Artifact) -> None:
    path = artifact.folder / MANIFEST_FILE
    original = path.read_bytes()
    for index in range(0, len(original), 97):
        if not original[index : index + 1].isspace():
            damaged = bytearray(original)
            damaged[index] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(ArtifactError):
                read_artifact(artifact.folder)


def test_another_schema(artifact: Artifact) -> None:
    changed = msgspec.structs.replace(artifact.schema, title="Another")
    for content, reason in ((changed.to_json(), "is not the schema"), (b"{}", "is not a schema")):
        with pytest.raises(SchemaMismatch, match=f"version 1: schema.json {reason}"):
            replace(artifact, "schema.json", content)
        with pytest.raises(SchemaMismatch, match=f"version 1: schema.json {reason}"):
            read_artifact(artifact.folder)


def test_another_schema_than_the_one_in_use(artifact: Artifact) -> None:
    read_artifact(artifact.folder, fingerprint=artifact.schema.fingerprint)
    with pytest.raises(SchemaMismatch, match="a different schema from the one in use"):
        read_artifact(artifact.folder, fingerprint="sha256:0")


def test_a_newer_format_is_checked_first(artifact: Artifact) -> None:
    content = {"format_version": 3, "unknown": "field"}
    (artifact.folder / MANIFEST_FILE).write_text(json.dumps(content))
    with pytest.raises(ArtifactTooNew, match="format 3, but this release reads formats up to 2"):
        read_artifact(artifact.folder)


def test_golden_rows_that_are_not_reproduced(artifact: Artifact) -> None:
    golden = json.loads(artifact.files["golden.json"])
    golden["probabilities"][3] += 1e-4
    replace(artifact, "golden.json", json.dumps(golden).encode())
    with pytest.raises(
        GoldenRowsDiffer, match="version 1: the graph's golden probabilities differ"
    ):
        Scorer(read_artifact(artifact.folder))


def test_an_artifact_without_golden_rows_is_damaged(artifact: Artifact) -> None:
    replace(artifact, "golden.json", b'{"values": [], "probabilities": []}')
    with pytest.raises(ArtifactDamaged, match="golden rows cannot be read"):
        Scorer(read_artifact(artifact.folder))


def test_a_file_that_is_not_a_graph(artifact: Artifact) -> None:
    replace(artifact, "model.onnx", b"not a graph")
    with pytest.raises(ArtifactDamaged, match="cannot be read"):
        Scorer(read_artifact(artifact.folder))


def test_a_version_without_ranges_for_a_column_is_damaged(artifact: Artifact) -> None:
    rewrite_manifest(artifact, ranges={})
    with pytest.raises(ArtifactDamaged, match="ranges"):
        Scorer(read_artifact(artifact.folder))


def test_golden_rows_are_not_patients(artifact: Artifact, table: Any) -> None:
    golden = json.loads(artifact.files["golden.json"])["values"]
    patients = {tuple(row) for row in table.values.tolist()}
    assert len(golden) > 50
    assert not patients & {tuple(row) for row in golden}


def test_an_existing_folder_is_not_overwritten(artifact: Artifact) -> None:
    with pytest.raises(FileExistsError):
        write_artifact(artifact.folder, artifact.manifest, artifact.files)
    read_artifact(artifact.folder)
    assert not list(artifact.folder.parent.glob(".writing-*"))


def test_metrics_can_be_added_later(artifact: Artifact) -> None:
    added = add_metrics(artifact, {"evaluation": {"log_loss": 0.37}})
    assert added.manifest.metrics["evaluation"] == {"log_loss": 0.37}
    assert added.manifest.metrics["folds"] == artifact.manifest.metrics["folds"]
    assert added.files == artifact.files


def test_loading_imports_nothing_that_an_artifact_names(artifact: Artifact, tmp_path: Path) -> None:
    """Plant a module, name it wherever an artifact holds text, and load it all."""
    (tmp_path / "planted.py").write_text("open('planted.txt', 'w').close()\n")
    network = json.loads(artifact.files["network.json"])
    replace(
        artifact,
        "network.json",
        json.dumps({**network, "activation": "planted:function", "module": "planted"}).encode(),
    )
    program = """
import sys
from pathlib import Path
from model.artifacts.artifact import read_artifact
from model.inference import Scorer
artifact = read_artifact(Path(sys.argv[1]))
Scorer(artifact)
from pipelines.training.reload import load_keras_network
try:
    load_keras_network(artifact)
except Exception as error:
    print(type(error).__name__)
"""
    process = subprocess.run(
        [sys.executable, "-c", program, str(artifact.folder)],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == "ArtifactDamaged"
    assert not (tmp_path / "planted.txt").exists()
