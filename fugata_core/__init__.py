"""What everybody stands on and nobody owns: errors, clock, tokens, limits, bodies, answers.

It imports nothing of the other packages, and this file nothing at all: the supervisor and the
probes load parts of it without Django.
"""
