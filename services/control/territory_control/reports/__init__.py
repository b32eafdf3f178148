"""Reports over an organisation's deals (F13). Pure: deals come in, tables come out."""
