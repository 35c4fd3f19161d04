module fly-pops/local/homelab/origin

go 1.26
