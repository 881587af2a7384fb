"""Scoring files: tables of any size are read in pieces, checked, answered by a model version and written beside a log.

Like those of `nbprod.serving`, its modules are only imported when something is scored, after it was said how many
threads numpy may use.
"""
