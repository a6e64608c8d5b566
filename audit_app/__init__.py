"""The audit trail: events, the chain that seals them, and the auditor's commands."""
