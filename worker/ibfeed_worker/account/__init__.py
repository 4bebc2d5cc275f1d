"""The paper account: its Lease, which says who holds it and how many logins have failed."""
