"""Stand-in for the parts of Azure that a worker meets when its accounts live in a Key Vault.

The vault's REST API for secrets, the Entra token endpoint (workload identity) and the instance metadata service
(managed identity), each with the challenges, pages, error bodies and refusals of the real one, so that the real
azure-identity and azure-keyvault-secrets clients work and fail against it as they do in production.
"""
