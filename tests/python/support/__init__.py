"""What the Python tests share: the real PostgreSQL, the real gateway, and waiting for conditions."""
