"""An app that lists accounts to those who may see them."""
