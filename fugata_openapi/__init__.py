"""Both APIs in OpenAPI 3.1: the building blocks, the whole document, and the page that shows it."""
