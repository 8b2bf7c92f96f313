//go:build tools

// Package tools names the main package that is built from this module.
package tools

import (
	_ "k8s.io/sample-apiserver"
)
