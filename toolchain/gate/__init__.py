"""Limits that stop a run, and the statistics that decide them."""
