package containers_test

import "slices"

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
