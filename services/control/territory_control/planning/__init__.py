"""What another model would change, were it in effect. Pure: assignments under both come in, a plan comes out."""
