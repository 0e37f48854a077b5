#include "pool.h"

namespace net {

constexpr int kLimit = 4;

/// A pair.
template <typename A, typename B>
struct Pair : Base {
  A first;
  B second;

  bool operator==(const Pair& other) const {
    return first == other.first;
  }
};

// Grows it.
void Pool::grow(int by) {
  size_ += by;
}

template <typename T>
T twice(T value) {
  return value * 2;
}

}  // namespace net

extern "C" int pool_size(net::Pool& pool) {
  return pool.size();
}
