"""Both APIs in OpenAPI 3.1: the words for it, the whole document, and the page that shows it."""
