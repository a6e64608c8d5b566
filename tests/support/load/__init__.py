"""What is asked of a service while parts fail, and the ledgers of what it acknowledged."""
