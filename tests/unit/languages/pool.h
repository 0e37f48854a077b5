#pragma once

namespace net {

class Pool {
 public:
  int size() const { return size_; }
  void grow(int by);

 private:
  int size_ = 10;
};

}  // namespace net
