"""The page: every section in its order, in one file without outside assets."""

from __future__ import annotations

import logging

from model.artifacts import Artifact, Store
from pipelines.html import render
from pipelines.report.auxiliary_networks import train_companions
from pipelines.report.blocks import Section
from pipelines.report.calibration import decisions, reliability
from pipelines.report.context import Subject
from pipelines.report.data_summary import data_at_a_glance
from pipelines.report.learning_curves import learning_curves
from pipelines.report.loss_surface import loss_surface
from pipelines.report.model_card import how_to_reproduce, in_brief, model_card
from pipelines.report.partial_dependence import dependence_on_columns
from pipelines.report.performance import fold_table, optimism
from pipelines.report.permutation_importance import what_it_looks_at
from pipelines.report.subgroups import subgroups
from pipelines.report.tripod_ai import reporting_items

REPORT = "report.html"

logger = logging.getLogger(__name__)


def write_report(subject: Subject, store: Store) -> Artifact:
    """Build the report of a training, and add it to its version.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
        FileExistsError: the version has one.
    """
    version = subject.manifest.version
    artifact = store.add_attachment(version, REPORT, build_report(subject))
    logger.info("report: %s", store.path(version) / REPORT)
    return artifact


def build_report(subject: Subject) -> bytes:
    """The report of one training as HTML.

    Trains a few hundred further networks for it, in seconds.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    manifest = subject.manifest
    page = render(
        "report.html",
        title=f"{subject.schema.title}: report of a training",
        subtitle=f"{manifest.name}, version {manifest.version}, {manifest.created}",
        brief=in_brief(subject),
        sections=all_sections(subject),
        foot=f"Written by the training itself. Manifest and checksums lie beside this file, "
        f"in version {manifest.version}.",
    )
    return page.encode()


def all_sections(subject: Subject) -> list[Section]:
    """In the order of the page."""
    companions = train_companions(subject)
    sections = [
        model_card(subject),
        data_at_a_glance(subject),
        fold_table(subject),
        reliability(subject),
        decisions(subject),
        subgroups(subject),
        what_it_looks_at(subject, companions),
        dependence_on_columns(subject, companions),
        learning_curves(subject, companions),
        optimism(subject, companions),
        loss_surface(subject),
        reporting_items(subject),
        how_to_reproduce(subject),
    ]
    if companions.sampled:
        note = (
            f"The table is large: what needs further networks was worked out from "
            f"{len(companions.table)} of its records."
        )
        sections[1] = Section(sections[1].key, sections[1].title, [note, *sections[1].blocks])
    return sections
