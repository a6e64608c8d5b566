"""What goes wrong: parts that fail, proxies that fail them, services that are broken."""
