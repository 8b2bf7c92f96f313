module mini-k8s.io/test/delay-line

go 1.24.0
