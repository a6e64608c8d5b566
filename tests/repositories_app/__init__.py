"""Tests of the repositories app."""
