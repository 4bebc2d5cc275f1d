"""The agreement between operator and worker: names, resource types, symbology, records, the signed call, the log."""
