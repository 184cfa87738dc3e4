"""Each module here measures one thing: ``measure(bench)`` yields rows."""
