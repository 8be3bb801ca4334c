"""The report of a training: one page for clinicians and statisticians.

build                   the page
context                 the training that the report is about
blocks                  figures, tables and lists of a section
model_card              the model card
data_summary            the table
performance             metrics on the folds
calibration             calibration and decision curves
subgroups               performance by subgroup
permutation_importance  permutation importance
partial_dependence      partial dependence
learning_curves         losses by epoch and by number of records
loss_surface            the loss around the trained weights
weight_space            the network at many points of its weights
auxiliary_networks      networks trained for the report
tripod_ai               the TRIPOD+AI checklist
disclosure_control      counts that disclose no record
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.report.build import write_report as write_report
    from pipelines.report.context import build_report_context as build_report_context
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "build": ("write_report",),
            "context": ("build_report_context",),
        },
    )
