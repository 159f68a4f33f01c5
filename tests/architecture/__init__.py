"""
The rows of the package, and the imports between them.

Read ``rows`` first. ``imports`` reads the imports from the code, ``picture`` draws them for the contributing page, and
``test_architecture`` compares the three.
"""
