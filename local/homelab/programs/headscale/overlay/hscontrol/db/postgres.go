package db

import (
	"errors"

	"gorm.io/gorm"
)

// A homelab has its nodes in SQLite.
var postgres leftOut

type leftOut struct{ gorm.Dialector }

func (leftOut) Open(string) gorm.Dialector { return leftOut{} }
func (leftOut) Initialize(*gorm.DB) error {
	return errors.New("Postgres was left out of the headscale of this homelab")
}
