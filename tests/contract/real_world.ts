// The World of a platform that stands on a real kernel: Bun's and Deno's. Time is the wall's, `until` wakes when a
// handler was heard, and what needs an independent hand (an address that never answers, a stale socket file) is made by
// a Python child.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address, Platform } from "../../src/platform/platform.ts";
import { type Child, python } from "./children.ts";
import type { World } from "./suite.ts";

/** How long a test may wait for one condition, ms. */
const UNTIL_MS = 8000;

// The queue of a listener with backlog 0 holds one connection; with that one never accepted, every further SYN is
// dropped without an answer.
const BLACKHOLE = `
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
c = socket.create_connection(s.getsockname())
print(s.getsockname()[1], flush=True)
sys.stdin.read()
`;
const STALE = `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
`;

export async function realWorld(platform: Platform): Promise<World> {
  return new RealWorld(platform);
}

class RealWorld implements World {
  readonly together = true;
  readonly much = 12 * 1024 * 1024;
  private wake: (() => void) | null = null;
  private readonly children: Child[] = [];
  private dir: string | null = null;
  private paths = 0;

  constructor(readonly platform: Platform) {}

  changed(): void {
    const wake = this.wake;
    this.wake = null;
    wake?.();
  }

  async until(what: string, check: () => boolean): Promise<void> {
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      this.changed();
    }, UNTIL_MS);
    try {
      while (!check()) {
        if (late) throw new Error(`waited ${UNTIL_MS} ms in vain for ${what}`);
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } finally {
      clearTimeout(limit);
    }
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async blackhole(): Promise<Address | null> {
    const port = await this.start(python(BLACKHOLE)).line();
    return port === null ? null : { kind: "tcp", host: "127.0.0.1", port: Number(port) };
  }

  unixPath(): string | null {
    this.dir ??= mkdtempSync(join(tmpdir(), "tandem-contract-"));
    return join(this.dir, `socket${this.paths++}`);
  }

  async staleUnix(): Promise<string | null> {
    const path = this.unixPath()!;
    // The process has to be gone: while it exits it may still answer.
    return (await this.start(python(STALE, path)).exit()) === 0 ? path : null;
  }

  async done(): Promise<void> {
    for (const child of this.children) await child.end();
    if (this.dir !== null) rmSync(this.dir, { recursive: true });
  }

  private start(child: Child): Child {
    this.children.push(child);
    return child;
  }
}
