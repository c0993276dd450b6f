"""Completeness: whether every entry that a producer made has arrived, and if not, which ones are missing.

Each producer numbers its entries 0, 1, 2 ...; a call whose entry was lost uses up a number all the same. The consumer
keeps, in the transaction that stores the rows, which numbers have arrived (``ranges``). Producers say on a topic of
their own how far they have come (``markers``). The two together are judged (``judgement``).
"""
