"""Splits of patients, stratified by outcome, with copies of a record on the same side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.errors import InvalidConfig

Split = tuple[np.ndarray, np.ndarray]
"""Row numbers of the training side and of the test side."""


def repeated_folds(
    labels: np.ndarray, groups: np.ndarray, *, n_splits: int = 10, n_repeats: int = 10, seed: int
) -> Iterator[Split]:
    """Split the different records by scikit-learn's ``RepeatedStratifiedKFold``.

    Copies of a record join its first row. If all records differ, these are exactly the folds of
    scikit-learn's class.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) integers, equal for copies.

    Yields:
        ``n_splits`` times ``n_repeats`` splits; each run of ``n_splits`` splits tests every row
        once.

    Raises:
        InvalidConfig: fewer than ``n_splits`` different records with either outcome.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold  # takes 2 s to import

    _, firsts = np.unique(groups, return_index=True)
    firsts = np.sort(firsts)
    for outcome in (0, 1):
        count = int((labels[firsts] == outcome).sum())
        if count < n_splits:
            name = "positive" if outcome else "negative"
            raise InvalidConfig(
                f"{n_splits} folds need {n_splits} different {name} records; there are {count}"
            )
    folds = RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
    for train, test in folds.split(firsts, labels[firsts]):
        in_test = np.isin(groups, groups[firsts[test]])
        in_train = np.isin(groups, groups[firsts[train]])
        yield np.flatnonzero(in_train), np.flatnonzero(in_test)


def holdout(labels: np.ndarray, groups: np.ndarray, *, share: float, seed: int) -> Split:
    """Split rows once, stratified by outcome, into a training and a validation side.

    Args:
        labels, groups: as for :func:`repeated_folds`.
        share: of the different records on the validation side.

    Raises:
        InvalidConfig: an outcome has too few different records for this share.
    """
    from sklearn.model_selection import train_test_split  # takes 2 s to import

    _, firsts = np.unique(groups, return_index=True)
    try:
        train, _ = train_test_split(
            firsts, test_size=share, stratify=labels[firsts], random_state=seed
        )
    except ValueError as error:
        raise InvalidConfig(f"validation_fraction: {error}") from None
    in_train = np.isin(groups, groups[train])
    return np.flatnonzero(in_train), np.flatnonzero(~in_train)
