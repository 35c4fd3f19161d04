module fly-pops/local/anycast

go 1.26
