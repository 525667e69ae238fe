"""Completion scripts for shells (``px --completions``), made from the tables of options and actions."""
