"""How values are sealed, under which key, and where they are kept. No HTTP and no views."""
