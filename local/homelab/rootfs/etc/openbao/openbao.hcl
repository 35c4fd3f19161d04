# The vault: on a volume, unsealed by a key that lies beside it, set up by itself at its first start. Listeners are added by libexec/home/openbao.
storage "raft" {
  path    = "/data/openbao"
  node_id = "home"
  # Alone as it is, it need not wait long for other leaders.
  performance_multiplier = 1
}
cluster_addr = "https://127.0.0.1:8201"
api_addr     = "https://127.0.0.1:8200"
ui           = false
log_level    = "warn"

seal "static" {
  current_key_id = "home"
  current_key    = "file:///data/keys/unseal"
}

initialize "stores" {
  request "kv" {
    operation = "update"
    path      = "sys/mounts/kv"
    data      = { type = "kv", options = { version = "2" } }
  }
  request "approle" {
    operation = "update"
    path      = "sys/auth/approle"
    data      = { type = "approle" }
  }
}

# PoPs read certificates and see how long their own secret_id is good for, the feeder writes them, the operator may do everything.
initialize "policies" {
  request "pop" {
    operation = "update"
    path      = "sys/policies/acl/pop"
    data      = { policy = "path \"kv/data/certbot/domains/*\" { capabilities = [\"read\"] } path \"auth/approle/role/pop/secret-id/lookup\" { capabilities = [\"update\"] }" }
  }
  request "feeder" {
    operation = "update"
    path      = "sys/policies/acl/feeder"
    data      = { policy = "path \"kv/data/certbot/domains/*\" { capabilities = [\"create\", \"update\", \"read\"] }" }
  }
  request "operator" {
    operation = "update"
    path      = "sys/policies/acl/operator"
    data      = { policy = "path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"] }" }
  }
}

initialize "roles" {
  request "pop" {
    operation = "update"
    path      = "auth/approle/role/pop"
    data      = { token_policies = ["pop"], token_ttl = "20m", secret_id_ttl = "0" }
  }
  request "feeder" {
    operation = "update"
    path      = "auth/approle/role/feeder"
    data      = { token_policies = ["feeder"], token_ttl = "5m", secret_id_ttl = "0" }
  }
  request "operator" {
    operation = "update"
    path      = "auth/approle/role/operator"
    data      = { token_policies = ["operator"], token_ttl = "5m", secret_id_ttl = "0" }
  }
}

initialize "identifiers" {
  request "pop-role" {
    operation = "update"
    path      = "auth/approle/role/pop/role-id"
    data      = { role_id = { eval_type = "string", eval_source = "file", path = "/data/keys/pop-role-id" } }
  }
  request "pop-secret" {
    operation = "update"
    path      = "auth/approle/role/pop/custom-secret-id"
    data      = { secret_id = { eval_type = "string", eval_source = "file", path = "/data/keys/pop-secret-id" } }
  }
  request "feeder-role" {
    operation = "update"
    path      = "auth/approle/role/feeder/role-id"
    data      = { role_id = { eval_type = "string", eval_source = "file", path = "/data/keys/feeder-role-id" } }
  }
  request "feeder-secret" {
    operation = "update"
    path      = "auth/approle/role/feeder/custom-secret-id"
    data      = { secret_id = { eval_type = "string", eval_source = "file", path = "/data/keys/feeder-secret-id" } }
  }
  request "operator-role" {
    operation = "update"
    path      = "auth/approle/role/operator/role-id"
    data      = { role_id = { eval_type = "string", eval_source = "file", path = "/data/keys/operator-role-id" } }
  }
  request "operator-secret" {
    operation = "update"
    path      = "auth/approle/role/operator/custom-secret-id"
    data      = { secret_id = { eval_type = "string", eval_source = "file", path = "/data/keys/operator-secret-id" } }
  }
}
