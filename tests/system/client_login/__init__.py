"""Tests of `px.system.client_login`."""
