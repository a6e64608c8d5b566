"""What tests share, in folders named by what is in them."""
