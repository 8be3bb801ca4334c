"""The model card and the section on reproducibility.

Mitchell and others, "Model cards for model reporting", 2019.
"""

from __future__ import annotations

import msgspec

from model.schema import Schema
from pipelines.report.blocks import (
    Block,
    BulletList,
    CodeBlock,
    Section,
    TableBlock,
    format_number,
    join_with_and,
    one_line,
    percent,
    with_interval,
)
from pipelines.report.context import ReportContext

MIN_RECORDS_PER_PARAMETER = 10
"""Records of the rarer outcome per parameter. With fewer, overfitting is to be expected (Peduzzi
and others, 1996, for logistic regression; networks need more)."""


def summary_lines(context: ReportContext) -> list[str]:
    """Return the paragraphs above the first section: the outcome and the main metrics.

    Args:
        context: the training that the report is about.
    """
    outcome, performance = context.schema.outcome, context.at_threshold
    estimates = context.evaluation.estimates[context.evaluation.model]
    return [
        f"This model gives the probability of “{outcome.positive}”. {one_line(outcome.meaning)}",
        one_line(outcome.caution),
        f"On {len(context.table)} records, each predicted by networks that did not see it: AUC "
        f"{with_interval(estimates['auc'])}, log loss {with_interval(estimates['log_loss'])}. At "
        f"the threshold {performance.threshold:.3g} it finds "
        f"{percent(performance.sensitivity.value)} of the positive "
        f"({percent(performance.sensitivity.low)} to {percent(performance.sensitivity.high)}) and "
        f"is right about {percent(performance.specificity.value)} of the negative "
        f"({percent(performance.specificity.low)} to {percent(performance.specificity.high)}). "
        "Brackets hold 95 % intervals throughout.",
        *([f"The version was {context.decision}."] if context.decision else []),
    ]


def model_card(context: ReportContext) -> Section:
    """Return the section with the model card: intended use, outcome, data and limitations.

    Args:
        context: the training that the report is about.
    """
    schema, manifest = context.schema, context.manifest
    outcome = schema.outcome
    rows = [
        ("Model", f"{manifest.name}, version {manifest.version}, made {manifest.created}"),
        ("Kind", describe_network(context)),
        (
            "Intended use",
            f"To estimate the probability of “{outcome.positive}” ({outcome.rule}) of one record "
            f"with the {len(schema.columns)} columns of this table, beside the judgement of a "
            "person who knows what the columns mean.",
        ),
        ("Intended for records like these", one_line(schema.description)),
        ("What the outcome is", one_line(outcome.meaning)),
        ("What it is not", one_line(outcome.caution)),
        (
            "Standing",
            "Not a medical device: nobody has approved it for any use in the care of patients.",
        ),
        (
            "Trained on",
            f"{manifest.data.file}: {manifest.data.rows} records, {manifest.data.positives} of "
            f"them positive. {describe_source(context)}",
        ),
        ("Answer", describe_output(context)),
        ("Missing values", describe_missing_values(schema)),
    ]
    return Section(
        "card",
        "Model card",
        [TableBlock(("", ""), rows), "Limits:", BulletList(limitations(context))],
    )


def limitations(context: ReportContext) -> list[str]:
    """Return the limitations that follow from the data; the schema's caution states the others.

    Args:
        context: the training that the report is about.
    """
    table, performance = context.table, context.at_threshold
    n_rarer = min(context.n_positive, len(table) - context.n_positive)
    records_per_parameter = n_rarer / context.n_parameters
    statements = [
        "One table, split again and again: no records of another place or a later time were looked "
        f"at. {len(table)} records put the interval of the AUC at "
        f"{_interval_width(context, 'auc')} wide.",
        "Figures that were chosen and reported on the same records are optimistic; the section on "
        "optimism says how far that can be estimated, and what it leaves out.",
        "A probability is as right as the share of positives where it is used: with "
        f"{percent(context.n_positive / len(table))} positive here, it is too high where fewer "
        "are, and too low where more are.",
    ]
    if records_per_parameter < MIN_RECORDS_PER_PARAMETER:
        statements.append(
            f"{context.n_parameters} parameters and {n_rarer} records of the rarer outcome: "
            f"{format_number(records_per_parameter, 2)} a parameter. So many parameters can learn "
            "so few records by heart; that they do not is up to the recipe, its penalty and its "
            "number of epochs."
        )
    if not performance.stated:
        statements.append(
            "Nobody has stated what a missed positive costs: the threshold is a convention."
        )
    if not context.schema.subgroups:
        statements.append("Nobody has looked at groups of records one by one.")
    return statements


def describe_network(context: ReportContext) -> str:
    """Describe the network: layers, parameters, activation, recipe and calibration."""
    config, n_features = context.config, len(context.schema.feature_names)
    layers = " → ".join(str(units) for units in (n_features, *config.hidden, 1))
    return (
        f"Neural network {layers}, {context.n_parameters} parameters, {config.activation} in the "
        f"hidden layers; recipe “{context.manifest.recipe}”; calibration: "
        f"{context.calibration.method}."
    )


def describe_source(context: ReportContext) -> str:
    """Describe the source of the records, which the schema knows only of the published files."""
    source = context.schema.source
    citation = f"{source.title}, {source.authors}, {source.year}, {source.url}, {source.licence}"
    if context.is_private:
        return f"Where this file comes from is not recorded; its schema was written for {citation}."
    return f"Source: {citation}."


def describe_output(context: ReportContext) -> str:
    """Describe the output: a probability, and the outcome by the threshold."""
    performance, outcome = context.at_threshold, context.schema.outcome
    reason = (
        f"from a stated cost of {performance.cost_ratio:g} false alarms for a missed positive"
        if performance.stated
        else "no cost was stated"
    )
    return (
        f"A probability, and “{outcome.positive}” at {performance.threshold:.3g} or above "
        f"({reason}), else “{outcome.negative}”."
    )


def describe_missing_values(schema: Schema) -> str:
    """Describe which columns may be missing."""
    required = [column.title for column in schema.columns if column.required]
    rest = "every other column may be missing, and an answer names what was"
    return (
        f"{join_with_and(required)} must be known; {rest}." if required else f"{rest.capitalize()}."
    )


def reproducibility(context: ReportContext) -> Section:
    """Return the section on reproducibility: command, data, config and library versions.

    Args:
        context: the training that the report is about.
    """
    manifest, evaluation = context.manifest, context.evaluation
    config = msgspec.to_builtins(context.config)
    blocks: list[Block] = [
        "On the same data with the same versions, this command gives the same folds and, on the "
        "CPU, the same weights:",
        CodeBlock(manifest.command),
        TableBlock(
            ("", ""),
            [
                ("Data", f"{manifest.data.file}, sha256 {manifest.data.sha256}"),
                ("Schema", f"{context.schema.name}, {manifest.schema_fingerprint}"),
                ("Device", manifest.device),
                (
                    "Folds",
                    f"{evaluation.n_repeats} x {evaluation.n_splits}, seed {evaluation.seed}",
                ),
                ("Graph against the Keras network", f"{manifest.parity:.1e} at most"),
                *((f"Version of {name}", text) for name, text in manifest.libraries.items()),
            ],
        ),
        TableBlock(
            ("Choice", "Value"),
            [(name, str(value)) for name, value in config.items()],
            f"The recipe “{manifest.recipe}”, choice by choice.",
        ),
    ]
    return Section("reproduce", "How to reproduce it", blocks)


def _interval_width(context: ReportContext, metric: str) -> str:
    estimate = context.evaluation.estimates[context.evaluation.model][metric]
    return format_number(estimate.high - estimate.low)
