"""The pages' tests, by status and consumption."""
