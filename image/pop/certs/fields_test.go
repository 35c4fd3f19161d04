package certs

import (
	"strings"
	"testing"
	"time"

	"fly-pops/pop/internal/testpki"
	"fly-pops/pop/vault"
)

// apart is the host's certificate and that of its authority.
func apart(pair testpki.Pair) (leaf, issuer string) {
	leaf = testpki.PEM(pair.Leaf)
	return leaf, strings.TrimPrefix(pair.Chain, leaf)
}

func TestFields(t *testing.T) {
	type fields = map[string]any
	for name, test := range map[string]struct {
		fields Fields
		data   func(key, leaf, issuer string) fields
		says   string
	}{
		"as certbot-to-vault writes them": {Fields{}, func(key, leaf, issuer string) fields { return fields{"key": key, "chain": leaf + issuer} }, ""},
		"other names":                     {Fields{Key: "private_key", Chain: "fullchain"}, func(key, leaf, issuer string) fields { return fields{"private_key": key, "fullchain": leaf + issuer} }, ""},
		"apart": {Fields{Certificate: "certificate", Chain: "ca_chain"}, func(key, leaf, issuer string) fields {
			return fields{"key": key, "certificate": leaf, "ca_chain": issuer}
		}, ""},
		"apart, without newlines at the ends": {Fields{Certificate: "certificate", Chain: "ca_chain"}, func(key, leaf, issuer string) fields {
			return fields{"key": strings.TrimSpace(key), "certificate": strings.TrimSpace(leaf), "ca_chain": strings.TrimSpace(issuer)}
		}, ""},
		"a list, as a vault's authority gives it": {Fields{Key: "private_key", Certificate: "certificate", Chain: "ca_chain"}, func(key, leaf, issuer string) fields {
			return fields{"private_key": key, "certificate": leaf, "ca_chain": []any{strings.TrimSpace(issuer)}}
		}, ""},
		"certificate has all": {Fields{Certificate: "certificate"}, func(key, leaf, issuer string) fields { return fields{"key": key, "certificate": leaf + issuer} }, ""},
		"the other way round": {Fields{}, func(key, leaf, issuer string) fields { return fields{"key": key, "chain": issuer + leaf} }, ""},
		"all in one":          {Fields{PEM: "pem"}, func(key, leaf, issuer string) fields { return fields{"pem": key + leaf + issuer} }, ""},
		"all in one, upset":   {Fields{PEM: "pem"}, func(key, leaf, issuer string) fields { return fields{"pem": issuer + key + leaf} }, ""},
		"the leaf twice":      {Fields{Certificate: "certificate"}, func(key, leaf, issuer string) fields { return fields{"key": key, "certificate": leaf + issuer + leaf} }, ""},
		"no such key":         {Fields{Key: "private_key"}, func(key, leaf, issuer string) fields { return fields{"key": key, "chain": leaf + issuer} }, `version 2 in the vault has no field "private_key"`},
		"no such certificate": {Fields{Certificate: "certificate"}, func(key, leaf, issuer string) fields { return fields{"key": key, "chain": leaf + issuer} }, `has no field "certificate"`},
		"no such chain":       {Fields{Certificate: "certificate", Chain: "ca_chain"}, func(key, leaf, issuer string) fields { return fields{"key": key, "certificate": leaf} }, `has no field "ca_chain"`},
		"no such PEM":         {Fields{PEM: "pem"}, func(key, leaf, issuer string) fields { return fields{"key": key} }, `has no field "pem"`},
		"a PEM without key":   {Fields{PEM: "pem"}, func(_, leaf, issuer string) fields { return fields{"pem": leaf + issuer} }, "no complete private key"},
		"a PEM without chain": {Fields{PEM: "pem"}, func(key, _, _ string) fields { return fields{"pem": key} }, "no certificate in the chain"},
		"a PEM with parameters": {Fields{PEM: "pem"}, func(key, leaf, issuer string) fields {
			return fields{"pem": key + leaf + issuer + "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n"}
		}, `"DH PARAMETERS" in it`},
		"an empty list":        {Fields{}, func(key, _, _ string) fields { return fields{"key": key, "chain": []any{}} }, `field "chain" is an empty list`},
		"a list with a number": {Fields{}, func(key, leaf, _ string) fields { return fields{"key": key, "chain": []any{leaf, 1}} }, `field "chain" is not a string`},
		"another's authority": {Fields{}, func(key, leaf, _ string) fields {
			return fields{"key": key, "chain": leaf + testpki.PEM(testpki.Root(t, testTime).Certificate)}
		}, "version 2 in the vault is rejected: none of the other certificates issued"},
		"only the authority's":   {Fields{}, func(key, _, issuer string) fields { return fields{"key": key, "chain": issuer} }, "the key does not belong to the certificate"},
		"an object for a PEM":    {Fields{PEM: "pem"}, func(key, _, _ string) fields { return fields{"pem": fields{"key": key}} }, `field "pem" is not a string`},
		"certificate with a key": {Fields{Certificate: "certificate"}, func(key, leaf, _ string) fields { return fields{"key": key, "certificate": leaf + key} }, "expected certificates only"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			config := f.agent.config
			config.Fields = test.fields
			config.complete()
			if err := config.validate(); err != nil {
				t.Fatal(err)
			}
			pair := f.good()
			leaf, issuer := apart(pair)
			f.vault.Put(path, test.data(pair.Key, leaf, issuer))
			f.poll()
			if last := f.own().Error; (last == "") != (test.says == "") || !strings.Contains(last, test.says) {
				t.Fatalf("says %q, want %q", last, test.says)
			}
			if served := f.served(); test.says == "" && served != pair.Chain+pair.Key {
				t.Errorf("served is %s", served)
			}
		})
	}
}

// Before any test.
var testTime = time.Now().AddDate(-1, 0, 0)

func TestFieldsThatExcludeEachOther(t *testing.T) {
	for _, fields := range []Fields{{PEM: "pem", Key: "key"}, {PEM: "pem", Chain: "chain"}, {PEM: "pem", Certificate: "certificate"}} {
		config := &Config{Address: "https://vault.test", RoleIDFile: "/r", SecretIDFile: "/s", Certificates: []Certificate{{Host: host}}, Fields: fields}
		config.complete()
		if err := config.validate(); err == nil || !strings.Contains(err.Error(), "fields.pem replaces the other fields") {
			t.Errorf("%+v: %v", fields, err)
		}
	}
}

// A store of version 1 has no versions, and its path has no data/ in it.
func TestAStoreOfVersion1(t *testing.T) {
	f := newFixture(t)
	config := f.agent.config
	config.Mount, config.KVVersion = "kv1", vault.KV1
	pair := f.good()
	f.put(pair)
	f.mustRound()
	if own := f.own(); f.served() != pair.Chain+pair.Key || own.Version != 0 || own.Source != "vault" {
		t.Errorf("%+v, %s", own, f.served())
	}
	f.vault.Put(path, map[string]any{"chain": pair.Chain})
	f.poll()
	if last := f.own().Error; last != `what is in the vault has no field "key"` {
		t.Error(last)
	}
	f.vault.Delete(path)
	f.poll()
	if last := f.own().Error; last != "kv1/certbot/domains/www.example.test: vault answered 404 (nothing there)" {
		t.Error(last)
	}
	config.KVVersion = 3
	if err := config.validate(); err == nil || !strings.Contains(err.Error(), "kvVersion is 3: expected 1 or 2") {
		t.Error(err)
	}
}

func TestANamespaceAndAnotherMount(t *testing.T) {
	f := newFixture(t)
	f.vault.At("edge/eu", "approle-edge")
	f.poll()
	if last := f.agent.status.Vault.Error; last != "login: vault answered 404 (nothing there): namespace not found" {
		t.Error(last)
	}
	config := f.agent.config
	config.Namespace, config.AuthMount = "edge/eu", "approle-edge"
	f.agent = newAgent(config, f.now)
	f.mustRound()
	if own := f.own(); own.Source != "vault" {
		t.Errorf("%+v", own)
	}
	if looks := f.vault.Count("look"); looks != 1 {
		t.Errorf("%d looks", looks)
	}
}
