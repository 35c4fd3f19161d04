module fly-pops/pop

go 1.26
