"""A stand-in for the parts of Azure that a worker meets when its accounts are in a Key Vault.

It has the vault's REST API for secrets, the Entra token endpoint (workload identity) and the instance metadata service
(managed identity). Each has the challenges, pages, error bodies and refusals of the real one. So the real
azure-identity and azure-keyvault-secrets clients work and fail against it as they do in production.
"""
