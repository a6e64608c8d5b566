"""The API's tests, through Django's test client."""
