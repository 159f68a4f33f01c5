"""
One task instance, one paid generation.

A record is written before a submit and completed after it. What the next try of the task does is decided from the
record alone, without I/O: submit, repeat, take up again, return, or stop and ask a person.
"""
