module fly-pops/local/resolver

go 1.26
