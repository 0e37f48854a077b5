import { EventEmitter } from "events";

const LIMIT = 4;

/** Says hello. */
export function hello(name) {
  return `hello ${name}`;
}

export const twice = (value) => {
  return value * 2;
};

module.exports.thrice = function (value) {
  return value * 3;
};

/**
 * A pool.
 */
@registered
export class Pool extends EventEmitter {
  size = 10;

  // Grows by one.
  grow() {
    this.size += 1;
  }

  shrink = () => {
    this.size -= 1;
  };
}

describe("a pool", () => {
  const made = () => new Pool();
  it("grows", () => {
    const inner = () => made().grow();
    inner();
  });
});

export default function () {
  return new Pool();
}
