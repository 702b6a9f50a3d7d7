"""Checks for the exercises, one module a chapter::

    from helpers.exercises import ch01
    ch01.check_log_odds(my_function)     # silent about style, clear about mistakes

A check raises an AssertionError that says what came out and what should have, or prints that all
is well.
"""
