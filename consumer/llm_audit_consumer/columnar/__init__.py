"""The fast path: a whole batch of Avro bodies becomes one binary COPY, column by column, in NumPy.

Its design note is ``README.md`` beside this file.
"""
