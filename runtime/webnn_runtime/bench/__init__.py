"""`webnn bench`: a bundle's speed against other engines, on the same texts, threads and moments.

Every contender gets the same token ids, and its answer is checked before it is timed. Rounds are interleaved,
so that a slow moment of the machine hits all of them.
"""
