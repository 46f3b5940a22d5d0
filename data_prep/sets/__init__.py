"""Public data sets as people have them on disk: a file and a builder each."""
