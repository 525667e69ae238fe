"""Tests of `px.core.client_login`."""
