"""The model card (Mitchell and others, "Model cards for model reporting", 2019), and how to make it
again."""

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
"""Positive or negative records a parameter, below which overfitting is to be expected (Peduzzi and
others, 1996, for logistic regression; networks need more)."""


def summary_lines(context: ReportContext) -> list[str]:
    """What the page says before its first section."""
    outcome, figures = (
        context.schema.outcome,
        context.evaluation.estimates[context.evaluation.model],
    )
    at = context.at_threshold
    return [
        f"This model gives the probability of “{outcome.positive}”. {one_line(outcome.meaning)}",
        one_line(outcome.caution),
        f"On {len(context.table)} records, each predicted by networks that did not see it: AUC "
        f"{with_interval(figures['auc'])}, log loss {with_interval(figures['log_loss'])}. At the "
        f"threshold {at.threshold:.3g} it finds {percent(at.sensitivity.value)} of the positive "
        f"({percent(at.sensitivity.low)} to {percent(at.sensitivity.high)}) and is right "
        f"about {percent(at.specificity.value)} of the negative ({percent(at.specificity.low)} to "
        f"{percent(at.specificity.high)}). Brackets hold 95 % intervals throughout.",
        *([f"The version was {context.decision}."] if context.decision else []),
    ]


def model_card(context: ReportContext) -> Section:
    """Intended use, outcome, limits and optimism."""
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
    """What a machine can see of them; the schema's caution names the others."""
    table, at = context.table, context.at_threshold
    rarer = min(context.n_positive, len(table) - context.n_positive)
    each = rarer / context.n_parameters
    found = [
        "One table, split again and again: no records of another place or a later time were looked "
        f"at. {len(table)} records put the interval of the AUC at "
        f"{_interval_width(context, 'auc')} wide.",
        "Figures that were chosen and reported on the same records are optimistic; the section on "
        "optimism says how far that can be estimated, and what it leaves out.",
        "A probability is as right as the share of positives where it is used: with "
        f"{percent(context.n_positive / len(table))} positive here, it is too high where fewer "
        "are, and too low where more are.",
    ]
    if each < MIN_RECORDS_PER_PARAMETER:
        found.append(
            f"{context.n_parameters} parameters and {rarer} records of the rarer outcome: "
            f"{format_number(each, 2)} a parameter. So many parameters can learn so few records by "
            "heart; that they do not is up to the recipe, its penalty and its number of epochs."
        )
    if not at.stated:
        found.append(
            "Nobody has stated what a missed positive costs: the threshold is a convention."
        )
    if not context.schema.subgroups:
        found.append("Nobody has looked at groups of records one by one.")
    return found


def describe_network(context: ReportContext) -> str:
    """Its layers and parameters."""
    config, n_features = context.config, len(context.schema.feature_names)
    layers = " → ".join(str(units) for units in (n_features, *config.hidden, 1))
    return (
        f"Neural network {layers}, {context.n_parameters} parameters, {config.activation} in the "
        f"hidden layers; recipe “{context.manifest.recipe}”; calibration: "
        f"{context.calibration.method}."
    )


def describe_source(context: ReportContext) -> str:
    """Where the records come from; the schema knows that of the files that it names as published."""
    source = context.schema.source
    named = f"{source.title}, {source.authors}, {source.year}, {source.url}, {source.licence}"
    if context.is_private:
        return f"Where this file comes from is not recorded; its schema was written for {named}."
    return f"Source: {named}."


def describe_output(context: ReportContext) -> str:
    """What the model gives, and from where on it says positive."""
    at, outcome = context.at_threshold, context.schema.outcome
    why = (
        f"from a stated cost of {at.cost_ratio:g} false alarms for a missed positive"
        if at.stated
        else "no cost was stated"
    )
    return (
        f"A probability, and “{outcome.positive}” at {at.threshold:.3g} or above ({why}), else "
        f"“{outcome.negative}”."
    )


def describe_missing_values(schema: Schema) -> str:
    """Which columns may be missing."""
    needed = [column.title for column in schema.columns if column.required]
    rest = "every other column may be missing, and an answer names what was"
    return f"{join_with_and(needed)} must be known; {rest}." if needed else f"{rest.capitalize()}."


def reproducibility(context: ReportContext) -> Section:
    """The command, the data, the choices and the versions."""
    manifest, found = context.manifest, context.evaluation
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
                ("Folds", f"{found.n_repeats} x {found.n_splits}, seed {found.seed}"),
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
    figure = context.evaluation.estimates[context.evaluation.model][metric]
    return format_number(figure.high - figure.low)
