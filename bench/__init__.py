"""Measurements: ratios of contestants in one run. Never part of the tests."""
