"""An organisation's model: the document that people write and its compiled form."""
