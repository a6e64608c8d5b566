"""How the processes run, part by part."""
