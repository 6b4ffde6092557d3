// Package proto holds the text of the contracts that programs explain. It never holds what is generated from them.
package proto

import _ "embed"

// Resources is resources.proto.
//
//go:embed helios/v1/resources.proto
var Resources string
