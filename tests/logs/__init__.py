"""Tests of `px.logs`."""
