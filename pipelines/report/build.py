"""Construction of the report: all sections in one HTML file without external assets."""

from __future__ import annotations

import logging

from model.artifacts import Artifact, Store
from pipelines.html import render_page
from pipelines.report.auxiliary_networks import train_auxiliary_networks
from pipelines.report.blocks import Section
from pipelines.report.calibration import decision_analysis, reliability
from pipelines.report.context import ReportContext
from pipelines.report.data_summary import data_summary
from pipelines.report.learning_curves import learning_curves
from pipelines.report.loss_surface import loss_surface
from pipelines.report.model_card import model_card, reproducibility, summary_lines
from pipelines.report.partial_dependence import partial_dependence_section
from pipelines.report.performance import fold_table, optimism
from pipelines.report.permutation_importance import importance_section
from pipelines.report.subgroups import subgroups
from pipelines.report.tripod_ai import reporting_items

REPORT_FILE = "report.html"

logger = logging.getLogger(__name__)


def write_report(context: ReportContext, store: Store) -> Artifact:
    """Build the report of a training and attach it to its version.

    Args:
        context: the training that the report is about.
        store: the store that holds the version.

    Returns:
        The artifact with the report among the files of its manifest.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
        FileExistsError: the version already has a report.
    """
    version = context.manifest.version
    artifact = store.add_attachment(version, REPORT_FILE, build_report(context))
    logger.info("Report written to %s.", store.path(version) / REPORT_FILE)
    return artifact


def build_report(context: ReportContext) -> bytes:
    """Return the report of one training as HTML.

    Trains about 260 networks for it (:mod:`pipelines.report.auxiliary_networks`), in seconds.

    Args:
        context: the training that the report is about.

    Returns:
        A complete HTML page, UTF-8.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    manifest = context.manifest
    page = render_page(
        "report.html",
        title=f"{context.schema.title}: report of a training",
        subtitle=f"{manifest.name}, version {manifest.version}, {manifest.created}",
        summary=summary_lines(context),
        sections=build_sections(context),
        foot=f"Written by the training itself. Manifest and checksums lie beside this file, "
        f"in version {manifest.version}.",
    )
    return page.encode()


def build_sections(context: ReportContext) -> list[Section]:
    """Return the sections in the order of the page.

    Args:
        context: the training that the report is about.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    auxiliary = train_auxiliary_networks(context)
    sections = [
        model_card(context),
        data_summary(context),
        fold_table(context),
        reliability(context),
        decision_analysis(context),
        subgroups(context),
        importance_section(context, auxiliary),
        partial_dependence_section(context, auxiliary),
        learning_curves(context, auxiliary),
        optimism(context, auxiliary),
        loss_surface(context),
        reporting_items(context),
        reproducibility(context),
    ]
    if auxiliary.is_sample:
        note = (
            f"The table is large: what needs further networks was worked out from "
            f"{len(auxiliary.table)} of its records."
        )
        sections[1] = Section(sections[1].key, sections[1].title, [note, *sections[1].blocks])
    return sections
