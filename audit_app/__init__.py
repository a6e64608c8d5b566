"""The audit trail: events, the chain that seals them, and what an auditor asks for."""
