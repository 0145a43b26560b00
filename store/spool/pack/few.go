package pack

import (
	"math/bits"
	"slices"
)

// few is the different values of a column of numbers, when they are few: at most half as many as there are rows, and maxIndexed.
type few struct {
	seed   uint64   // of hashes: nobody can aim at one
	table  []uint16 // the values' numbers + 1, by hash; 0: free
	values []uint64
	counts []uint64 // of each value: rows that have it
	index  []uint64 // of each row: the number of its value
}

// of takes the values of a column, or returns false when they are too many.
func (f *few) of(v []uint64) bool {
	limit := min(maxIndexed, len(v)/2)
	f.reset(limit)
	mask := len(f.table) - 1
	last, at := v[0], -1
	for _, x := range v {
		if x != last || at < 0 { // values come in runs
			i := int(HashMix(f.seed, x)) & mask
			for f.table[i] != 0 && f.values[f.table[i]-1] != x {
				i = (i + 1) & mask
			}
			if f.table[i] == 0 {
				if len(f.values) == limit {
					return false
				}
				f.values, f.counts = append(f.values, x), append(f.counts, 0)
				f.table[i] = uint16(len(f.values))
			}
			last, at = x, int(f.table[i])-1
		}
		f.counts[at]++
		f.index = append(f.index, uint64(at))
	}
	return true
}

func (f *few) reset(limit int) {
	size := 1 << bits.Len(uint(2*limit)+16)
	if cap(f.table) < size {
		f.table = make([]uint16, size)
	}
	f.table = f.table[:size]
	clear(f.table)
	f.values, f.counts, f.index = f.values[:0], f.counts[:0], f.index[:0]
}

// sort puts the values in order.
func (f *few) sort() {
	order := make([]uint32, len(f.values))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		if f.values[a] < f.values[b] {
			return -1
		}
		return 1
	})
	ranks, values, counts := make([]uint64, len(order)), make([]uint64, len(order)), make([]uint64, len(order))
	for rank, i := range order {
		ranks[i], values[rank], counts[rank] = uint64(rank), f.values[i], f.counts[i]
	}
	f.values, f.counts = values, counts
	for i, at := range f.index {
		f.index[i] = ranks[at]
	}
}
