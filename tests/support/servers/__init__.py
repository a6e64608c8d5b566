"""What tests run: real servers, the service itself, its image and its pods."""
