"""Tests of `px.system.autostart`."""
