import type { Config } from "./config";

export interface Options {
  size: number;
}

export type Name = string;

enum Mode { Fast, Safe }

namespace inner {
  export function helper(): void {
    return;
  }
}

export abstract class Pool<T> {
  private size = 10;

  @Input({
    name: "size",
  })
  async grow(by: number): Promise<void> {
    this.size += by;
  }

  abstract close(): void;

  handle = (): void => {
    this.size = 0;
  };
}

export const make = (config: Config): Name => config.name;
