"""How addresses are written."""


def authority(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
