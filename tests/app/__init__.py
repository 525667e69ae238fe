"""Tests of `px.app`."""
