"""What `make bench` runs: Fugata, a floor and a peer, side by side on one machine."""
