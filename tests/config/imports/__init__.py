"""Tests of the settings of other programs."""
