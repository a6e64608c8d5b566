"""The base of all other packages: errors, clock, tokens, limits, bodies, responses.

It imports none of the other packages, and this file imports nothing at all: the supervisor
loads parts of it without Django.
"""
