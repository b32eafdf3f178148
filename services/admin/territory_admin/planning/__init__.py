"""Works out from the topics what another model would change; nothing is published."""
