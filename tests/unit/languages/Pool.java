package org.example;

import java.util.List;

/** A pool. */
@Service
public class Pool<T> extends Base {
  private static final int LIMIT = 4;

  /** Makes one. */
  public Pool() {
    this.size = 10;
  }

  /** Grows it. */
  @Override
  public void grow(int by) {
    this.size += by;
  }

  abstract int size();

  static class Inner {
    void run() {
      return;
    }
  }
}

interface Closer {
  void close();

  default void quietly() {
    close();
  }
}
