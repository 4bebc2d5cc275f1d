"""The paper account: its Lease, which names the holder and counts the failed logins."""
