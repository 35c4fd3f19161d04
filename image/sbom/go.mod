module fly-pops/sbom

go 1.26
