"""The middleware's tests."""
