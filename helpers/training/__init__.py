"""How the shipped models were trained and measured, and IDs as a teacher of others."""
