# What certbot-to-vault may do: write certificates and see whether they are the ones that are there. No deleting, no listing, nothing else of the store.
path "kv/data/certbot/domains/*" {
  capabilities = ["create", "update", "read"]
}
