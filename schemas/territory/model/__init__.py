"""An organisation's model: the document that administrators write, and its compiled form."""
