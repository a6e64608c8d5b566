"""Value stores: where sealed values are kept. One file each."""
