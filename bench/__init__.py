"""Measurements: ratios of contestants in one run. Only their parts are tested, no figure is."""
