"""The file formats that corpora come in, each streamed entry by entry.

An entry comes with `where`, what to call it in messages (`file.jsonl:12`); one that cannot be read
comes as the BadInput that says why, so that a reader counts it and goes on. Damage that leaves the
rest of a file unread is raised instead.
"""
