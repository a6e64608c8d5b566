"""Key providers, which hold the key-encryption keys. One file each."""
