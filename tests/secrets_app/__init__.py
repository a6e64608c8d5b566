"""The sharing app's tests; the folders mirror the package."""
