"""Tests of back-up, restore and fsck."""
