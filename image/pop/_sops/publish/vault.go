package publish

type VaultDestination struct{ leftOut }

func NewVaultDestination(_, _, _ string, _ int) *VaultDestination { return &VaultDestination{} }
