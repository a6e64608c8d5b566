"""Key providers: who holds the key-encryption keys. One file each."""
