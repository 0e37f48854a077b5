//! A pool.

use std::fmt;

const TIMEOUT: u64 = 30;

/// A pool.
#[derive(Debug)]
pub struct Pool<T> {
    size: T,
}

impl<T> fmt::Display for Pool<T> {
    const NAME: &'static str = "pool";

    /// Shows it.
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

pub trait Grow {
    fn size(&self) -> u64;

    fn grow(&self) -> u64 {
        self.size() + 1
    }
}

macro_rules! twice {
    ($x:expr) => { $x * 2 };
}

mod tests {
    #[test]
    fn grows() {
        assert_eq!(twice!(2), 4);
    }
}
