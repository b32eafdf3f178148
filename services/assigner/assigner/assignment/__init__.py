"""Second stage: decides the territories of whole records, family by family."""
