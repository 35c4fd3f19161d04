package vault

import (
	"context"
	"fmt"
	"net/http"
)

// Versions of KV stores.
const (
	KV1 = 1
	KV2 = 2
)

// Secret is a secret of a KV store.
type Secret struct {
	// 0: the store keeps no versions.
	Version int
	Fields  map[string]any
}

// Store is a KV store.
type Store struct {
	Mount string
	// KV1 or KV2.
	Version int
}

// Read reads the current secret at a path: https://openbao.org/api-docs/secret/kv/kv-v1/#read-secret,
// https://openbao.org/api-docs/secret/kv/kv-v2/#read-secret-version
func (c *Client) Read(ctx context.Context, token Token, store Store, path string) (Secret, error) {
	operation := store.Mount + "/" + path
	if store.Version == KV1 {
		var answer struct {
			Data map[string]any `json:"data"`
		}
		err := c.do(ctx, question{operation, http.MethodGet, operation, token.secret, nil, nil}, &answer)
		if err == nil && answer.Data == nil {
			err = wrongStore(operation, KV1)
		}
		return Secret{Fields: answer.Data}, err
	}
	var answer struct {
		Data struct {
			Data     map[string]any `json:"data"`
			Metadata struct {
				Version int `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if err := c.do(ctx, question{operation, http.MethodGet, store.Mount + "/data/" + path, token.secret, nil, nil}, &answer); err != nil {
		return Secret{}, err
	}
	if answer.Data.Data == nil || answer.Data.Metadata.Version < 1 {
		return Secret{}, wrongStore(operation, KV2)
	}
	return Secret{answer.Data.Metadata.Version, answer.Data.Data}, nil
}

func wrongStore(operation string, version int) error {
	return fmt.Errorf("%s: the vault's response is not that of a KV store, version %d", operation, version)
}
