package engine

import (
	"fmt"
	"strconv"
	"strings"
)

func firstLine(out string, err error) (string, error) {
	line, _, _ := strings.Cut(out, "\n")
	return line, err
}

func number(out string, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(out)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q: want the number of a process", out)
	}
	return n, nil
}
