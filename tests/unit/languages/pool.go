// Package pool pools.
package pool

import "time"

const Timeout = 30 * time.Second

// Pool is a pool.
type Pool[T any] struct {
	size int
}

type (
	// Closer closes.
	Closer interface {
		Close() error
	}
)

// Grow grows it.
func (p *Pool[T]) Grow(by int) int {
	p.size += by
	return p.size
}

func (p Pool[T]) Size() int { return p.size }

func New() *Pool[int] {
	return &Pool[int]{size: 10}
}
