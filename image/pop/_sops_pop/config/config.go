// Package config has what the stores take; what .sops.yaml says is the operator's, and is not read here.
package config

type (
	DotenvStoreConfig     struct{}
	INIStoreConfig        struct{}
	JSONStoreConfig       struct{ Indent int }
	JSONBinaryStoreConfig struct{ Indent int }
	YAMLStoreConfig       struct{ Indent int }
	StoresConfig          struct {
		Dotenv     DotenvStoreConfig
		INI        INIStoreConfig
		JSONBinary JSONBinaryStoreConfig
		JSON       JSONStoreConfig
		YAML       YAMLStoreConfig
	}
)
