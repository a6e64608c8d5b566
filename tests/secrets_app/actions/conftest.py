"""What is done to shares, over every value store."""

from tests.support.runner.marking import marks

pytest_collection_modifyitems = marks(__file__, "values")
