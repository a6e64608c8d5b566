"""The real parts that tests run against."""
