"""Documents and videos in, searchable and citable evidence out.

Read `pipeline.py` for the story of adding; `library.py` is the face that the agent reads.
"""
