"""What operator, worker and simulator must agree on: names, resource types, symbology, records, the signed call."""
