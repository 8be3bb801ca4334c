"""The report of a training: one page that a clinician can read and a statistician can trust.

One file a section. Each takes a :class:`~pipelines.report.subject.Subject`, and some of them the
:class:`~pipelines.report.companions.Companions` that were trained for the report alone, and gives a
:class:`~pipelines.report.contents.Section`; ``page.py`` puts them together. What a section says of
a column or of the outcome comes from the schema.
"""
