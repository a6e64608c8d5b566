"""The description of the APIs, held against the contracts that clients code against."""
