"""Training and evaluation: from a table of records to an artifact and its report.

data             reading and checking tables, preprocessing
fitted_pipeline  a fitted preprocessing and network
evaluation       cross-validation, baselines, external validation
report           the HTML report of a version
tuning           hyperparameter search
training         a new version: fit, assess, save, promote
cli              the commands
devices          selection of the training device
html             pages and figures
"""
