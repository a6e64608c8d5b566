"""The composition's tests."""
