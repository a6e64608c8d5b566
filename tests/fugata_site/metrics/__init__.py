"""Metrics, without a scraper."""
