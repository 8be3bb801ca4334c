"""The TRIPOD+AI checklist, filled from the schema, the table and the training.

Collins and others, "TRIPOD+AI statement: updated guidance for reporting clinical prediction models
that use regression or machine learning methods", BMJ 2024;385:e078378. The 52 items and sub-items
have short titles here; the statement says what they require. An item is filled only with facts from
the schema, the table and the training, never with a guess. The others are "not reported".
"""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.report.blocks import Section, TableBlock, join_with_and, one_line
from pipelines.report.context import ReportContext
from pipelines.report.model_card import (
    describe_missing_values,
    describe_network,
    describe_output,
    describe_source,
    limitations,
)

NOT_REPORTED = "not reported"
ITEMS: Mapping[str, str] = {
    "1": "Title",
    "2": "Abstract",
    "3a": "Healthcare context, rationale, existing models",
    "3b": "Target population, purpose, intended users",
    "3c": "Known health inequalities between groups",
    "4": "Objectives",
    "5a": "Sources of the data and their representativeness",
    "5b": "Dates of the data",
    "6a": "Study setting and centres",
    "6b": "Eligibility of participants",
    "6c": "Treatments received",
    "7": "Data preparation and quality checks",
    "8a": "Outcome, time horizon, assessment",
    "8b": "Assessors of the outcome",
    "8c": "Blinding of the assessment of the outcome",
    "9a": "Choice of initial predictors",
    "9b": "Definition and measurement of predictors",
    "9c": "Assessors of the predictors",
    "10": "Sample size",
    "11": "Missing data",
    "12a": "Use and partition of the data",
    "12b": "Handling of predictors",
    "12c": "Type of model, building steps, internal validation",
    "12d": "Heterogeneity across clusters: methods",
    "12e": "Measures and plots of performance",
    "12f": "Model updating: methods",
    "12g": "How predictions are calculated",
    "13": "Class imbalance",
    "14": "Fairness: approaches",
    "15": "Output of the model and its threshold",
    "16": "Differences of development and evaluation data",
    "17": "Ethical approval and consent",
    "18a": "Funding",
    "18b": "Conflicts of interest",
    "18c": "Protocol",
    "18d": "Registration",
    "18e": "Sharing of data",
    "18f": "Sharing of code",
    "19": "Patient and public involvement",
    "20a": "Flow of participants, with and without the outcome",
    "20b": "Characteristics of participants",
    "20c": "Comparison of development and evaluation data",
    "21": "Participants and outcome events in each analysis",
    "22": "Full model specification",
    "23a": "Performance with intervals, and in subgroups",
    "23b": "Heterogeneity across clusters: results",
    "24": "Model updating: results",
    "25": "Interpretation, with fairness",
    "26": "Limitations",
    "27a": "Poor or unavailable input data",
    "27b": "User interaction and expertise",
    "27c": "Next steps for research",
}


def reporting_items(context: ReportContext) -> Section:
    """Return the section with the checklist, one row per item.

    Args:
        context: the training that the report is about.
    """
    texts = fill_items(context)
    rows = [(key, name, texts.get(key, NOT_REPORTED)) for key, name in ITEMS.items()]
    return Section(
        "tripod",
        "TRIPOD+AI",
        [
            f"{len(texts)} of the {len(ITEMS)} items of TRIPOD+AI (Collins and others, BMJ "
            "2024;385:e078378), in whole or in part, from what the schema, the table and the "
            f"training say. The rest are “{NOT_REPORTED}”: a person has to write them.",
            TableBlock(("Item", "Topic", "What is known"), rows),
        ],
    )


def fill_items(context: ReportContext) -> dict[str, str]:
    """Return the texts of the items that can be filled, by key of :data:`ITEMS`.

    Args:
        context: the training that the report is about.
    """
    return _methods(context) | _analysis(context) | _results(context)


def _methods(context: ReportContext) -> dict[str, str]:
    schema, table = context.schema, context.table
    n_rarer = min(context.n_positive, len(table) - context.n_positive)
    remarks = f" Remarks: {'; '.join(table.warnings)}." if table.warnings else ""
    return {
        "1": f"Development of a prediction model of “{schema.outcome.positive}”: {schema.title}.",
        "4": "Development and internal validation; no external validation.",
        "5a": f"{describe_source(context)} The schema describes: {one_line(schema.description)} "
        f"Representativeness: {NOT_REPORTED}.",
        "7": "Every cell was checked against the declared ranges and levels; copies of a record "
        f"are kept together.{remarks}",
        "8a": f"{one_line(schema.outcome.meaning)} {one_line(schema.outcome.caution)}",
        "9a": f"All {len(schema.columns)} columns of the table; none was selected by its values.",
        "9b": "; ".join(
            f"{column.title}{f' ({column.unit})' if column.unit else ''}: "
            f"{one_line(column.help).rstrip('.')}"
            for column in schema.columns
        ),
        "10": f"{len(table)} records, {context.n_positive} positive, {context.n_parameters} "
        f"parameters: {n_rarer / context.n_parameters:.2f} records of the rarer outcome for each. "
        f"Calculation of a sample size: {NOT_REPORTED}.",
        "11": "No record is omitted. In training, a missing number is given its column's mean, a "
        f"missing level the shares of the levels. In use, {describe_missing_values(schema)}",
    }


def _analysis(context: ReportContext) -> dict[str, str]:
    evaluation, config = context.evaluation, context.config
    method = context.calibration.method
    class_imbalance = (
        f"A missed positive counts {config.positive_class_weight:g} times in the loss; "
        f"calibration: {method}."
        if config.positive_class_weight != 1
        else "No method against class imbalance was used."
    )
    return {
        "12a": f"{evaluation.n_repeats} x {evaluation.n_splits} stratified folds for evaluation; "
        f"{len(context.rows)} records for the model itself.",
        "12b": "Numbers and ordered levels are standardised, levels become one input each; their "
        "effects and interactions are the network's own.",
        "12c": f"{describe_network(context)} Validated by folds with everything fitted inside, and "
        f"by the bootstrap. Rationale of the recipe and earlier tuning: {NOT_REPORTED}.",
        "12e": "Log loss, AUC, Brier score, accuracy, calibration error, slope and intercept, "
        "reliability curve, net benefit, sensitivity, specificity and predictive values; "
        f"{evaluation.baseline} on the same folds.",
        "12f": f"Recalibration fitted out of fold was considered; taken: {method}.",
        "12g": "By an ONNX graph from the values of a record to its probability, over HTTP.",
        "13": class_imbalance,
        "15": describe_output(context),
        "16": "None: evaluation is by folds of the same records.",
    }


def _results(context: ReportContext) -> dict[str, str]:
    n, n_positive, evaluation = len(context.table), context.n_positive, context.evaluation
    columns = [split.column for split in context.schema.subgroups]
    fold_size = round(n / evaluation.n_splits)
    n_fitted = int(context.table.labels[context.rows].sum())
    texts = {
        "20a": f"{n} records, {n_positive} with the outcome and {n - n_positive} without; how they "
        f"were recruited: {NOT_REPORTED}.",
        "20b": "See “The data at a glance”.",
        "21": f"Model: {len(context.rows)} records, {n_fitted} events. Each fold: about "
        f"{n - fold_size} to fit, {fold_size} to evaluate.",
        "22": "Weights, preprocessing and graph lie in this version's folder, with their "
        "checksums.",
        "23a": "See “How good the predictions are”, “Do the probabilities mean what they say?” and "
        + ("“Subgroups”." if columns else f"“Optimism”; subgroups: {NOT_REPORTED}."),
        "24": "See “Do the probabilities mean what they say?”.",
        "26": " ".join(limitations(context)),
        "27a": f"{describe_missing_values(context.schema)} Values outside the declared ranges are "
        "refused, values that training did not see are remarked on in the answer.",
    }
    if not context.is_private:
        texts["18e"] = f"The table is published. {describe_source(context)}"
    if columns:
        texts["20b"] += f" Groups by {join_with_and(columns)}: see “Subgroups”."
    return texts
