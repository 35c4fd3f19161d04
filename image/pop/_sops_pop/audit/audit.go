// Package audit keeps no record: the one sops has is a Postgres table.
package audit

type (
	DecryptEvent struct{ File string }
	EncryptEvent struct{ File string }
)

func SubmitEvent(interface{}) {}
