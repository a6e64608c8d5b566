"""The actions' tests."""
