<?php

namespace Example\Net;

const LIMIT = 4;

/**
 * A pool.
 */
#[Service]
final class Pool extends Base
{
    private int $size = 10;

    /** Grows it. */
    #[Route("/grow")]
    public function grow(int $by): void
    {
        $this->size += $by;
    }

    abstract public function size(): int;
}

function make(): Pool
{
    return new Pool();
}
