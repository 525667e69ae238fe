"""Tests of `px.processes.forks`."""
